// Drawing: three panels over one axis of z, redrawn whole whenever something moves.

const path = (kind, points) => {
  const steps = points.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`);
  return `<path class="${kind}" d="M${steps.join("L")}"/>`;
};
const line = (kind, x1, y1, x2, y2) =>
  `<line class="${kind}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
const dot = (kind, x, y, r) => `<circle class="${kind}" cx="${x}" cy="${y}" r="${r}"/>`;
const box = (kind, x, y, width, height) =>
  `<rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${height}"/>`;
const upright = (kind, x, y1, y2, width) =>
  box(kind, x - width / 2, Math.min(y1, y2), width, Math.abs(y2 - y1));
const text = (kind, x, y, html, anchor = "start") =>
  `<text class="${kind}" x="${x}" y="${y}" text-anchor="${anchor}">${inSvg(html)}</text>`;

// Where things are. The third panel is the first moved down by y, at the same scale, so that the
// bar ŷ − y and the height dL/dz can be compared by eye.
function layout(picture) {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const width = picture.figure.clientWidth;
  const left = 2.6 * rem;
  const right = width - (picture.outputs.length > 1 ? 4.6 : 3.4) * rem;
  const { lo, hi, ranges } = picture;
  const { y } = look(picture);
  let top = 0;
  const panel = ([low, high], height) => {
    const from = top + 3 * rem;
    top = from + height + 0.6 * rem;
    return {
      low,
      high,
      title: from - 1.5 * rem,
      top: from - 0.6 * rem,
      bottom: top,
      y: (value) => from + ((high - value) / (high - low)) * height,
    };
  };
  const panels = {
    prediction: panel(ranges.prediction, 9 * rem),
    loss: panel(ranges.loss, 10.8 * rem),
    gradient: panel(ranges.prediction.map((end) => end - y), 9 * rem),
  };
  return {
    rem, width, left, right, panels,
    narrow: width < 20 * rem,
    height: top + 1.6 * rem,
    x: (z) => left + ((z - lo) / (hi - lo)) * (right - left),
    z: (x) => lo + ((x - left) / (right - left)) * (hi - lo),
  };
}

function ticks(low, high, most) {
  const step = [0.25, 0.5, 1, 2, 4].find((s) => (high - low) / s <= most);
  const first = Math.ceil(low / step - 1e-6);
  const last = Math.floor(high / step + 0.02); // a loss that stops just short of a tick has it too
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}
const short = (value) => fixed(value, value % 1 ? (value % 0.5 ? 2 : 1) : 0);

function frame(picture, at, panel, most) {
  const { left, right, rem } = at;
  const upwards = (z) => line("grid", at.x(z), panel.top, at.x(z), panel.bottom);
  const across = (v) =>
    line(v ? "grid" : "zero", left, panel.y(v), right, panel.y(v)) +
    text("tick", left - 0.5 * rem, panel.y(v) + 0.3 * rem, short(v), "end");
  return [
    ...ticks(picture.lo, picture.hi, 6).map(upwards),
    ...ticks(panel.low, panel.high, most).map(across),
  ].join("");
}

const heading = (at, panel, title, kind, value) =>
  text("title", 0, panel.title, title) +
  text(`value ${kind}`, at.width, panel.title, value, "end");

// A piece of the tangent, of one length however steep, that ends where the panel does.
function tangent(at, panel, x, y, slope) {
  const dx = at.x(1) - at.x(0);
  const dy = panel.y(slope) - panel.y(0);
  const end = (side) => {
    const room = [(5 * at.rem) / Math.hypot(dx, dy)];
    room.push(((side > 0 ? at.right : at.left) - x) / (side * dx));
    if (dy) room.push(((side * dy > 0 ? panel.bottom : panel.top) - y) / (side * dy));
    const reach = side * Math.max(Math.min(...room), 0);
    return [x + reach * dx, y + reach * dy];
  };
  return path("tangent", [end(-1), end(1)]);
}

// Names beside the ends of curves, kept apart from each other.
function names(at, panel, ends) {
  const sorted = [...ends].sort((a, b) => a.y - b.y);
  sorted.forEach((end, i) => {
    if (i) end.y = Math.max(end.y, sorted[i - 1].y + at.rem);
  });
  const over = Math.max(sorted[sorted.length - 1].y - panel.bottom, 0);
  const x = at.right + 0.4 * at.rem;
  return sorted.map((e) => text(e.kind, x, e.y - over + 0.3 * at.rem, e.name)).join("");
}

function drawPrediction(picture, at, now) {
  const panel = at.panels.prediction;
  const { rem, left, right } = at;
  const [x, y, truth] = [at.x(now.z), panel.y(now.prediction), panel.y(now.y)];
  const several = picture.outputs.length > 1;
  const word = letters(picture);
  const ends = [];
  const margin = right + (several ? 1.6 : 0.4) * rem;
  const curves = picture.outputs.map((name, output) => {
    const here = output === picture.focus;
    const points = along(picture, output).map((s) => [at.x(s.z), panel.y(s.prediction)]);
    ends.push({ name, kind: here ? "title" : "tick", y: points[points.length - 1][1] });
    if (here) return path("curve", points);
    const other = panel.y(look(picture, picture.scores, output).prediction);
    return path("curve away", points) + dot("point", x, other, 4);
  });
  return [
    frame(picture, at, panel, 3),
    path("truth", [[left, truth], [right, truth]]),
    text("tick", margin, truth + 0.3 * rem, `${word.y} = ${fixed(now.y, 0)}`),
    ...curves,
    several ? names(at, panel, ends) : "",
    upright("bar", x, truth, y, 0.6 * rem),
    dot("point here", x, y, 7),
    heading(at, panel, `Activation ${word.prediction}`, "error",
      `bar ${at.narrow ? "" : word.error} = ${fixed(now.error, 3)}`),
  ].join("");
}

function drawLoss(picture, at, now, curve) {
  const panel = at.panels.loss;
  const [x, y] = [at.x(now.z), panel.y(now.loss)];
  const step = (s) => dot("trail", at.x(s[picture.focus]), panel.y(look(picture, s).loss), 4);
  return [
    frame(picture, at, panel, 4),
    path("loss", curve.map((s) => [at.x(s.z), panel.y(s.loss)])),
    tangent(at, panel, x, y, now.slope),
    ...picture.trail.map(step),
    dot("point loss-point", x, y, 7),
    heading(at, panel, "Loss <i>L</i>", "slope",
      `slope ${at.narrow ? "" : "of the tangent"} = ${fixed(now.slope, 3)}`),
  ].join("");
}

// Which line is which, in the corner that neither the curves nor the stem ever reach.
function legend(picture, at, panel) {
  const { rem, left, right } = at;
  if (right - left < 10 * rem) return ""; // on a very narrow screen it would be in the way
  const below = panel.low < -0.2 * (panel.high - panel.low);
  const x = below ? right - 6.5 * rem : left + 0.6 * rem;
  const top = below ? panel.bottom - 2.3 * rem : panel.top + 1.2 * rem;
  const entry = (kind, y, words) =>
    path(`${kind}-curve`, [[x, y - 0.3 * rem], [x + 1.8 * rem, y - 0.3 * rem]]) +
    text(kind, x + 2.3 * rem, y, words);
  const word = letters(picture);
  return entry("slope", top, word.slope) + entry("error", top + 1.4 * rem, word.error);
}

function drawGradient(picture, at, now, curve) {
  const panel = at.panels.gradient;
  const [x, zero] = [at.x(now.z), panel.y(0)];
  const slopes = curve.map((s) => [at.x(s.z), panel.y(s.slope)]);
  const errors = curve.map((s) => [at.x(s.z), panel.y(s.error)]);
  const below = (z) => text("tick", at.x(z), panel.bottom + 1.2 * at.rem, short(z), "middle");
  return [
    path("gap", [...slopes, ...[...errors].reverse()]),
    frame(picture, at, panel, 3),
    legend(picture, at, panel),
    path("slope-curve", slopes),
    path("error-curve", errors),
    upright("ghost", x, zero, panel.y(now.error), at.rem),
    upright("stem", x, zero, panel.y(now.slope), 0.6 * at.rem),
    dot("point slope-point", x, panel.y(now.slope), 7),
    heading(at, panel, `Gradient ${letters(picture).slope}`, "slope",
      `height = ${fixed(now.slope, 3)}`),
    ...ticks(picture.lo, picture.hi, 6).map(below),
  ].join("");
}

// Where the bar is long and the loss is flat all the same: nowhere, for the three models.
function drawFlat(at, curve) {
  const flat = curve.filter((s) => Math.abs(s.error) > 0.5 && Math.abs(s.slope) < 0.05);
  if (!flat.length) return "";
  const [x1, x2] = [at.x(flat[0].z), at.x(flat[flat.length - 1].z)];
  const shade = (panel) => box("flat", x1, panel.top, x2 - x1, panel.bottom - panel.top);
  const y = at.panels.loss.bottom - 1.2 * at.rem;
  return (
    Object.values(at.panels).map(shade).join("") +
    text("on-flat", (x1 + x2) / 2, y, "plateau", "middle")
  );
}

function draw(picture) {
  if (!picture.figure.clientWidth) return; // not shown yet
  const at = (picture.at = layout(picture));
  const now = look(picture);
  const curve = along(picture);
  const [x, thumb] = [at.x(now.z), picture.sliders[picture.focus].input];
  picture.figure.style.setProperty("--left", `${at.left}px`);
  picture.figure.style.setProperty("--right", `${at.width - at.right}px`);
  picture.svg.setAttribute("height", at.height);
  picture.svg.innerHTML =
    drawFlat(at, curve) +
    line("cursor", x, at.panels.prediction.top, x, thumb.offsetTop) +
    drawPrediction(picture, at, now) +
    drawLoss(picture, at, now, curve) +
    drawGradient(picture, at, now, curve);
  tell(picture, now);
}
