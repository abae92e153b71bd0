"use strict";
// The pictures. All numbers are read from the samples in this page: no model's formula is below.

const PICTURES = JSON.parse(document.getElementById("samples").textContent);
const RATE = 0.5; // of "ten steps downhill": z moves by −RATE · dL/dz
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

// --- samples -------------------------------------------------------------------------------------

// A table as numbers: large ones come as base64 of int16, counted in steps of 1/per_unit.
function unpack(table) {
  if (Array.isArray(table)) return table;
  const bytes = new DataView(Uint8Array.from(atob(table.int16), (c) => c.charCodeAt(0)).buffer);
  return Float64Array.from({ length: bytes.byteLength / 2 }, (_, i) => bytes.getInt16(2 * i, true) / table.per_unit);
}

// The table's value at these scores, straight between the two nearest samples of each.
function read(picture, table, scores) {
  const { lo, step, count } = picture;
  let corners = [[0, 1]]; // [place in the table, share]
  for (const z of scores) {
    const at = Math.min(Math.max((z - lo) / step, 0), count - 1);
    const left = Math.min(Math.floor(at), count - 2);
    corners = corners.flatMap(([place, share]) => [
      [place * count + left, share * (1 - (at - left))],
      [place * count + left + 1, share * (at - left)],
    ]);
  }
  return corners.reduce((sum, [place, share]) => sum + share * table[place], 0);
}

// What there is to see at these scores, for the output whose score is in focus.
function look(picture, scores = picture.scores, output = picture.focus) {
  const target = picture.targets[picture.chosen];
  const prediction = read(picture, picture.prediction[output], scores);
  const error = prediction - target.y[output];
  const slope = target.dz ? read(picture, target.dz[output], scores) : error; // no dz: it is the error
  return { z: scores[output], y: target.y[output], prediction, error, slope, loss: read(picture, target.loss, scores) };
}

// The same along the axis of the focus, the other scores as they are.
function along(picture, output = picture.focus) {
  return picture.axis.map((z) => {
    const scores = [...picture.scores];
    scores[picture.focus] = z;
    return { ...look(picture, scores, output), z };
  });
}

// --- words ---------------------------------------------------------------------------------------

function fixed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
}
const letter = (name, output) => `<i>${name}</i>` + (output && `<sub>${output}</sub>`);
const inSvg = (html) => html
  .replace(/<i>(.*?)<\/i>/g, '<tspan class="var">$1</tspan>')
  .replace(/<sub>(.*?)<\/sub>/g, '<tspan class="sub" dy=".25em">$1</tspan><tspan dy="-.19em">\u200b</tspan>');
const inWords = (html) => html.replace(/<[^>]*>/g, "");

// --- drawing -------------------------------------------------------------------------------------

// Where things are: three panels over one axis of z. The third is the first moved down by y, at the
// same scale, so that the bar ŷ − y and the height dL/dz can be compared by eye.
function layout(picture) {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const width = picture.figure.clientWidth;
  const left = 2.6 * rem, right = width - (picture.outputs.length > 1 ? 4.6 : 3.4) * rem;
  const { lo, hi } = picture, pad = 0.6 * rem, head = 2.4 * rem;
  const tall = 9 * rem, { prediction, loss } = picture.ranges;
  const y = picture.targets[picture.chosen].y[picture.focus], gradient = prediction.map((end) => end - y);
  let top = 0;
  const panel = ([low, high], height) => {
    const from = top + head + pad, scale = height / (high - low);
    top = from + height + pad;
    return { title: from - pad - 0.9 * rem, top: from - pad, bottom: top, low, high, y: (v) => from + (high - v) * scale };
  };
  return {
    rem, width, left, right, narrow: width < 20 * rem,
    x: (z) => left + ((z - lo) / (hi - lo)) * (right - left),
    z: (x) => lo + ((x - left) / (right - left)) * (hi - lo),
    panels: { prediction: panel(prediction, tall), loss: panel(loss, 1.2 * tall), gradient: panel(gradient, tall) },
    height: top + 1.6 * rem,
  };
}

function ticks(low, high, most) {
  const step = [0.25, 0.5, 1, 2, 4].find((s) => (high - low) / s <= most);
  const first = Math.ceil(low / step - 1e-6);
  return Array.from({ length: Math.floor(high / step + 0.02) - first + 1 }, (_, i) => (first + i) * step);
}
const short = (value) => fixed(value, value % 1 ? (value % 0.5 ? 2 : 1) : 0);

const path = (kind, points) => `<path class="${kind}" d="M${points.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`).join("L")}"/>`;
const line = (kind, x1, y1, x2, y2) => `<line class="${kind}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
const text = (kind, x, y, html, anchor = "start") => `<text class="${kind}" x="${x}" y="${y}" text-anchor="${anchor}">${inSvg(html)}</text>`;
const dot = (kind, x, y, r) => `<circle class="${kind}" cx="${x}" cy="${y}" r="${r}"/>`;
const upright = (kind, x, y1, y2, width) =>
  `<rect class="${kind}" x="${x - width / 2}" y="${Math.min(y1, y2)}" width="${width}" height="${Math.abs(y2 - y1)}"/>`;

// A piece of the tangent, of one length however steep, that ends where the panel does.
function tangent(at, panel, x, y, slope) {
  const dx = at.x(1) - at.x(0), dy = panel.y(slope) - panel.y(0), reach = 5 * at.rem / Math.hypot(dx, dy);
  const ends = [-1, 1].map((side) => {
    const room = [reach];
    if (dx) room.push(((side > 0 ? at.right : at.left) - x) / (side * dx));
    if (dy) room.push(((side * dy > 0 ? panel.bottom : panel.top) - y) / (side * dy));
    const t = side * Math.max(Math.min(...room), 0);
    return [x + t * dx, y + t * dy];
  });
  return path("tangent", ends);
}

function frame(picture, at, panel, most) {
  const parts = ticks(picture.lo, picture.hi, 6).map((z) => line("grid", at.x(z), panel.top, at.x(z), panel.bottom));
  for (const v of ticks(panel.low, panel.high, most)) {
    parts.push(line(v ? "grid" : "zero", at.left, panel.y(v), at.right, panel.y(v)));
    parts.push(text("tick", at.left - 0.5 * at.rem, panel.y(v) + 0.3 * at.rem, short(v), "end"));
  }
  return parts.join("");
}

// Names beside the ends of curves, kept apart from each other.
function names(at, panel, ends) {
  const apart = at.rem, sorted = [...ends].sort((a, b) => a.y - b.y);
  sorted.forEach((end, i) => { if (i) end.y = Math.max(end.y, sorted[i - 1].y + apart); });
  const over = Math.max(sorted[sorted.length - 1].y - panel.bottom, 0);
  return sorted.map((end) => text(end.kind, at.right + 0.4 * at.rem, end.y - over + 0.3 * at.rem, end.name)).join("");
}

function drawPrediction(picture, at, now, name) {
  const panel = at.panels.prediction, x = at.x(now.z), parts = [frame(picture, at, panel, 3)], ends = [];
  parts.push(path("truth", [[at.left, panel.y(now.y)], [at.right, panel.y(now.y)]]));
  const margin = at.right + (picture.outputs.length > 1 ? 1.6 : 0.4) * at.rem;
  parts.push(text("tick", margin, panel.y(now.y) + 0.3 * at.rem, `${letter("y", name)} = ${fixed(now.y, 0)}`));
  picture.outputs.forEach((output, c) => {
    const curve = along(picture, c).map((s) => [at.x(s.z), panel.y(s.prediction)]);
    const here = c === picture.focus;
    ends.push({ name: output, kind: here ? "title" : "tick", y: curve[curve.length - 1][1] });
    parts.push(path(here ? "curve" : "curve away", curve));
    if (!here) parts.push(dot("point", x, panel.y(look(picture, picture.scores, c).prediction), 4));
  });
  if (ends.length > 1) parts.push(names(at, panel, ends));
  parts.push(upright("bar", x, panel.y(now.y), panel.y(now.prediction), 0.6 * at.rem));
  parts.push(dot("point", x, panel.y(now.prediction), 7));
  parts.push(text("title", 0, panel.title, `Activation ${letter("ŷ", name)}`));
  parts.push(text("value error", at.width, panel.title, `bar${at.narrow ? "" : ` ${letter("ŷ", name)} − ${letter("y", name)}`} = ${fixed(now.error, 3)}`, "end"));
  return parts.join("");
}

function drawLoss(picture, at, now, curve) {
  const panel = at.panels.loss, x = at.x(now.z), y = panel.y(now.loss);
  return [
    frame(picture, at, panel, 4),
    path("loss", curve.map((s) => [at.x(s.z), panel.y(s.loss)])),
    tangent(at, panel, x, y, now.slope),
    ...picture.trail.map((s) => dot("trail", at.x(s[picture.focus]), panel.y(look(picture, s).loss), 4)),
    dot("point loss-point", x, y, 7),
    text("title", 0, panel.title, "Loss <i>L</i>"),
    text("value slope", at.width, panel.title, `slope${at.narrow ? "" : " of the tangent"} = ${fixed(now.slope, 3)}`, "end"),
  ].join("");
}

// Which line is which, in the corner that neither the curves nor the stem ever reach.
function legend(at, panel, name) {
  if (at.right - at.left < 10 * at.rem) return ""; // on a very narrow screen it would be in the way
  const below = panel.low < -0.2 * (panel.high - panel.low), rem = at.rem;
  const long = at.narrow ? 1 : 1.8, x = below ? at.right - (long + 4.7) * rem : at.left + 0.6 * rem, y = below ? panel.bottom - 2.3 * rem : panel.top + 1.2 * rem;
  const entry = (kind, y, words) => path(`${kind}-curve`, [[x, y - 0.3 * rem], [x + long * rem, y - 0.3 * rem]])
    + text(kind, x + (long + 0.5) * rem, y, words);
  return entry("slope", y, `d<i>L</i>/d${letter("z", name)}`) + entry("error", y + 1.4 * rem, `${letter("ŷ", name)} − ${letter("y", name)}`);
}

function drawGradient(picture, at, now, curve, name) {
  const panel = at.panels.gradient, x = at.x(now.z), zero = panel.y(0);
  const slopes = curve.map((s) => [at.x(s.z), panel.y(s.slope)]), errors = curve.map((s) => [at.x(s.z), panel.y(s.error)]);
  return [
    path("gap", [...slopes, ...[...errors].reverse()]),
    frame(picture, at, panel, 3),
    legend(at, panel, name),
    path("slope-curve", slopes),
    path("error-curve", errors),
    upright("ghost", x, zero, panel.y(now.error), at.rem),
    upright("stem", x, zero, panel.y(now.slope), 0.6 * at.rem),
    dot("point slope-point", x, panel.y(now.slope), 7),
    text("title", 0, panel.title, `Gradient d<i>L</i>/d${letter("z", name)}`),
    text("value slope", at.width, panel.title, `height = ${fixed(now.slope, 3)}`, "end"),
    ...ticks(picture.lo, picture.hi, 6).map((z) => text("tick", at.x(z), panel.bottom + 1.2 * at.rem, short(z), "middle")),
  ].join("");
}

// Where the bar is long and the loss is flat all the same: nowhere, for the three models.
function drawFlat(picture, at, curve) {
  const flat = curve.filter((s) => Math.abs(s.error) > 0.5 && Math.abs(s.slope) < 0.05);
  if (!flat.length) return "";
  const [x1, x2] = [at.x(flat[0].z), at.x(flat[flat.length - 1].z)], { prediction, loss, gradient } = at.panels;
  return [prediction, loss, gradient]
    .map((p) => `<rect class="flat" x="${x1}" y="${p.top}" width="${x2 - x1}" height="${p.bottom - p.top}"/>`)
    .join("") + text("on-flat", (x1 + x2) / 2, loss.bottom - 1.2 * picture.at.rem, "plateau", "middle");
}

function draw(picture) {
  if (!picture.figure.clientWidth) return; // not shown yet
  const at = (picture.at = layout(picture)), now = look(picture), curve = along(picture), name = picture.outputs[picture.focus];
  const { prediction } = at.panels, x = at.x(now.z), thumb = picture.sliders[picture.focus].input;
  picture.figure.style.setProperty("--left", `${at.left}px`);
  picture.figure.style.setProperty("--right", `${at.width - at.right}px`);
  picture.svg.setAttribute("height", at.height);
  picture.svg.innerHTML = drawFlat(picture, at, curve)
    + line("cursor", x, prediction.top, x, thumb.offsetTop)
    + drawPrediction(picture, at, now, name) + drawLoss(picture, at, now, curve) + drawGradient(picture, at, now, curve, name);
  tell(picture, now, name);
}

function tell(picture, now, name) {
  const same = Math.abs(now.error - now.slope) < 5e-4;
  const bar = `${letter("ŷ", name)} − ${letter("y", name)}`, slope = `d<i>L</i>/d${letter("z", name)}`;
  picture.verdict.innerHTML = `<span class="error">bar ${bar}</span><span></span><span class="slope">slope ${slope}</span>`
    + `<span class="error">${fixed(now.error, 3)}</span><span>${same ? "=" : "≠"}</span><span class="slope">${fixed(now.slope, 3)}</span>`;
  picture.says.textContent = same ? "The bar is the slope." : "The bar is not the slope.";
  const words = inWords(`${bar} = ${fixed(now.error, 3)}, ${slope} = ${fixed(now.slope, 3)}`);
  picture.svg.setAttribute("aria-label", `${picture.title}. ${inWords(letter("z", name))} = ${fixed(now.z, 2)}, ${words}.`);
  picture.sliders.forEach((slider, c) => {
    const here = look(picture, picture.scores, c);
    slider.input.value = here.z;
    slider.output.textContent = fixed(here.z, 2);
    slider.input.setAttribute("aria-valuetext", `${fixed(here.z, 2)}, ${inWords(`<i>ŷ</i> − <i>y</i> = ${fixed(here.error, 3)}, slope ${fixed(here.slope, 3)}`)}`);
    slider.label.classList.toggle("away", c !== picture.focus);
    if (slider.push) {
      slider.push.style.left = `${50 + 50 * Math.min(here.error, 0)}%`;
      slider.push.style.width = `${50 * Math.abs(here.error)}%`;
      slider.pushed.textContent = fixed(here.error, 3);
    }
  });
}

// --- hands ---------------------------------------------------------------------------------------

const make = (tag, kind, html = "") => Object.assign(document.createElement(tag), { className: kind, innerHTML: html });

function move(picture, output, z) {
  const { lo, hi, step } = picture;
  stop(picture);
  picture.focus = output;
  picture.scores[output] = Math.min(Math.max(lo + Math.round((z - lo) / step) * step, lo), hi);
  draw(picture);
}

function stop(picture) {
  clearInterval(picture.timer);
  picture.trail = [];
  picture.status.innerHTML = "Each moves <i>z</i> by −½ d<i>L</i>/d<i>z</i>.";
}

function tenSteps(picture) {
  stop(picture);
  const from = look(picture);
  const step = () => {
    picture.trail.push([...picture.scores]);
    picture.scores = picture.scores.map((z, c) =>
      Math.min(Math.max(z - RATE * look(picture, picture.trail[picture.trail.length - 1], c).slope, picture.lo), picture.hi));
    draw(picture);
    if (picture.trail.length < 10) return;
    clearInterval(picture.timer);
    const now = look(picture), name = letter("z", picture.outputs[picture.focus]);
    picture.status.innerHTML = `${name} went from ${fixed(from.z, 2)} to ${fixed(now.z, 2)}, the loss from ${fixed(from.loss, 3)} to ${fixed(now.loss, 3)}.`;
  };
  if (STILL.matches) for (let i = 0; i < 10; i++) step();
  else picture.timer = setInterval(step, 120);
}

function addChoice(picture, section) {
  const several = picture.outputs.length > 1;
  const box = make("fieldset", "choice", `<legend>${several ? "True class" : "Truth <i>y</i>"}</legend>`), options = make("div", "options");
  picture.targets.forEach((target, i) => {
    const label = make("label", "", `<input type="radio" name="${section.id}-y"><span>${target.name}</span>`);
    label.firstChild.checked = i === picture.chosen;
    label.firstChild.addEventListener("change", () => { stop(picture); picture.chosen = i; draw(picture); });
    options.append(label);
  });
  box.append(options);
  section.append(box);
}

function addSlider(picture, output, c) {
  const several = picture.outputs.length > 1, id = `${picture.id}-z${output}`;
  const row = make("div", several ? "score several" : "score");
  const label = make("label", "", `${several ? "" : "Score "}${letter("z", output)}<span aria-hidden="true"> = <b></b></span>`);
  const input = Object.assign(document.createElement("input"), { type: "range", id, min: picture.lo, max: picture.hi, step: picture.step });
  const head = make("div", "");
  label.htmlFor = id;
  if (several) input.setAttribute("aria-label", `z${output}, the score of class ${output}`);
  head.append(label);
  const slider = { input, label, output: label.querySelector("b") };
  if (several) {
    const push = make("span", "push", `<span>${letter("ŷ", output)} − ${letter("y", output)}</span><span class="balance"><span></span></span><output></output>`);
    [slider.push, slider.pushed] = [push.querySelector(".balance > span"), push.querySelector("output")];
    head.append(push);
  }
  row.append(head, input);
  input.addEventListener("input", () => move(picture, c, Number(input.value)));
  input.addEventListener("focus", () => { if (picture.focus !== c) { picture.focus = c; draw(picture); } });
  picture.figure.append(row);
  picture.sliders.push(slider);
}

function addOutcome(picture, section) {
  const box = make("div", "outcome");
  picture.verdict = make("p", "verdict");
  picture.says = make("p", "says");
  picture.status = make("p", "status");
  picture.status.setAttribute("role", "status");
  const button = make("button", "", "Take ten steps downhill");
  button.type = "button";
  button.addEventListener("click", () => tenSteps(picture));
  box.append(picture.verdict, picture.says, button, picture.status);
  section.append(box);
}

function addFigure(picture, section) {
  picture.figure = make("div", "figure");
  picture.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.svg.setAttribute("class", "plot");
  picture.svg.setAttribute("role", "img");
  picture.figure.append(picture.svg);
  picture.outputs.forEach((output, c) => addSlider(picture, output, c));
  section.append(picture.figure);
  const drag = (event) => {
    if (event.buttons & 1) move(picture, picture.focus, picture.at.z(event.clientX - picture.svg.getBoundingClientRect().left));
  };
  picture.svg.addEventListener("pointerdown", (event) => { picture.svg.setPointerCapture(event.pointerId); drag(event); });
  picture.svg.addEventListener("pointermove", drag);
}

function prepare(id, picture) {
  const section = document.getElementById(id), { lo, step, count } = picture;
  const predictions = picture.prediction.map(unpack), all = (f, tables) => f(...tables.map((t) => t.reduce((a, b) => f(a, b))));
  const targets = picture.targets.map((t) => ({ ...t, loss: unpack(t.loss), dz: t.dz && t.dz.map(unpack) }));
  const ys = targets.map((t) => t.y), [low, high] = [all(Math.min, predictions), all(Math.max, predictions)];
  Object.assign(picture, {
    id, targets, prediction: predictions, focus: 0, sliders: [], trail: [], timer: 0,
    title: section.querySelector("h2").lastChild.textContent,
    hi: lo + step * (count - 1),
    axis: Array.from({ length: count }, (_, i) => lo + i * step),
    ranges: {
      prediction: [Math.min(low, all(Math.min, ys)), Math.max(high, all(Math.max, ys))],
      loss: [0, all(Math.max, targets.map((t) => t.loss))],
    },
  });
  addChoice(picture, section);
  addFigure(picture, section);
  addOutcome(picture, section);
  stop(picture);
  section.setAttribute("aria-label", picture.title);
  new ResizeObserver(() => { if (picture.at?.width !== picture.figure.clientWidth) draw(picture); }).observe(picture.figure);
  draw(picture);
}

for (const [id, picture] of Object.entries(PICTURES)) prepare(id, picture);
