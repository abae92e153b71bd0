// Hands: the sliders, the choice of y, the ten steps, and the words that follow them.

const RATE = 0.5; // of the ten steps: each moves z by −RATE · dL/dz
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

const make = (tag, kind, html = "") =>
  Object.assign(document.createElement(tag), { className: kind, innerHTML: html });

// The same in words and numbers: for the eye, and for who hears the page.
function tell(picture, now) {
  const same = Math.abs(now.error - now.slope) < 5e-4;
  const [error, slope] = [fixed(now.error, 3), fixed(now.slope, 3)];
  const word = letters(picture);
  picture.verdict.innerHTML =
    `<span class="error">bar ${word.error}</span><span></span>` +
    `<span class="slope">slope ${word.slope}</span>` +
    `<span class="error">${error}</span><span>${same ? "=" : "≠"}</span>` +
    `<span class="slope">${slope}</span>`;
  picture.says.textContent = same ? "The bar is the slope." : "The bar is not the slope.";
  const all = `${word.z} = ${fixed(now.z, 2)}, ${word.error} = ${error}, ${word.slope} = ${slope}`;
  picture.svg.setAttribute("aria-label", `${picture.title}. ${inWords(all)}.`);
  picture.sliders.forEach((slider, output) => tellSlider(picture, slider, output));
}

function tellSlider(picture, slider, output) {
  const here = look(picture, picture.scores, output);
  const [z, error, slope] = [fixed(here.z, 2), fixed(here.error, 3), fixed(here.slope, 3)];
  slider.input.value = here.z;
  slider.input.setAttribute("aria-valuetext", `${z}, ŷ − y = ${error}, slope ${slope}`);
  slider.value.textContent = z;
  slider.label.classList.toggle("away", output !== picture.focus);
  if (!slider.push) return;
  slider.push.style.left = `${50 + 50 * Math.min(here.error, 0)}%`;
  slider.push.style.width = `${50 * Math.abs(here.error)}%`;
  slider.pushed.textContent = error;
}

function move(picture, output, z) {
  const { lo, hi, step } = picture;
  halt(picture);
  picture.focus = output;
  picture.scores[output] = clamp(lo + Math.round((z - lo) / step) * step, lo, hi);
  draw(picture);
}

function halt(picture) {
  clearInterval(picture.timer);
  picture.trail = [];
  picture.status.innerHTML = "Each moves <i>z</i> by −½ d<i>L</i>/d<i>z</i>.";
}

function tenSteps(picture) {
  halt(picture);
  const from = look(picture);
  const step = () => {
    const before = picture.scores;
    const down = (z, output) => z - RATE * look(picture, before, output).slope;
    picture.trail.push(before);
    picture.scores = before.map((z, output) => clamp(down(z, output), picture.lo, picture.hi));
    draw(picture);
    if (picture.trail.length < 10) return;
    clearInterval(picture.timer);
    const now = look(picture);
    picture.status.innerHTML =
      `${letters(picture).z} went from ${fixed(from.z, 2)} to ${fixed(now.z, 2)}, ` +
      `the loss from ${fixed(from.loss, 3)} to ${fixed(now.loss, 3)}.`;
  };
  if (STILL.matches) for (let i = 0; i < 10; i++) step();
  else picture.timer = setInterval(step, 120);
}

// --- what is there to touch ----------------------------------------------------------------------

function addChoice(picture, section) {
  const legend = picture.outputs.length > 1 ? "True class" : "Truth <i>y</i>";
  const choice = make("fieldset", "choice", `<legend>${legend}</legend>`);
  const options = make("div", "options");
  picture.targets.forEach((target, i) => {
    const radio = `<input type="radio" name="${section.id}-y"><span>${target.name}</span>`;
    const label = make("label", "", radio);
    label.firstChild.checked = i === picture.chosen;
    label.firstChild.addEventListener("change", () => {
      halt(picture);
      picture.chosen = i;
      draw(picture);
    });
    options.append(label);
  });
  choice.append(options);
  section.append(choice);
}

function addSlider(picture, name, output) {
  const several = picture.outputs.length > 1;
  const word = letters(picture, output);
  const value = '<span aria-hidden="true"> = <b></b></span>';
  const row = make("div", several ? "score several" : "score");
  const head = make("div", "");
  const label = make("label", "", `${several ? "" : "Score "}${word.z}${value}`);
  const input = make("input", "");
  const { lo: min, hi: max, step } = picture;
  Object.assign(input, { type: "range", id: `${picture.id}-z${name}`, min, max, step });
  label.htmlFor = input.id;
  head.append(label);
  const slider = { input, label, value: label.querySelector("b") };
  if (several) {
    input.setAttribute("aria-label", `z${name}, the score of class ${name}`);
    const balance = '<span class="balance"><span></span></span><output></output>';
    const push = make("span", "push", `<span>${word.error}</span>${balance}`);
    slider.push = push.querySelector(".balance > span");
    slider.pushed = push.querySelector("output");
    head.append(push);
  }
  input.addEventListener("input", () => move(picture, output, Number(input.value)));
  input.addEventListener("focus", () => {
    if (picture.focus === output) return;
    picture.focus = output;
    draw(picture);
  });
  row.append(head, input);
  picture.figure.append(row);
  picture.sliders.push(slider);
}

function addFigure(picture, section) {
  picture.figure = make("div", "figure");
  picture.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.svg.setAttribute("class", "plot");
  picture.svg.setAttribute("role", "img");
  picture.figure.append(picture.svg);
  picture.outputs.forEach((name, output) => addSlider(picture, name, output));
  section.append(picture.figure);
  const drag = (event) => {
    if (!(event.buttons & 1)) return;
    const x = event.clientX - picture.svg.getBoundingClientRect().left;
    move(picture, picture.focus, picture.at.z(x));
  };
  picture.svg.addEventListener("pointerdown", (event) => {
    picture.svg.setPointerCapture(event.pointerId);
    drag(event);
  });
  picture.svg.addEventListener("pointermove", drag);
}

function addOutcome(picture, section) {
  const outcome = make("div", "outcome");
  picture.verdict = make("p", "verdict");
  picture.says = make("p", "says");
  picture.status = make("p", "status");
  picture.status.setAttribute("role", "status");
  const button = make("button", "", "Take ten steps downhill");
  button.type = "button";
  button.addEventListener("click", () => tenSteps(picture));
  outcome.append(picture.verdict, picture.says, button, picture.status);
  section.append(outcome);
}

// The values of tables from the smallest to the largest.
function extent(tables) {
  const over = (pick) => pick(...tables.map((table) => table.reduce((a, b) => pick(a, b))));
  return [over(Math.min), over(Math.max)];
}

function prepare(id, picture) {
  const section = document.getElementById(id);
  const { lo, step, count } = picture;
  const prediction = picture.prediction.map(unpack);
  const opened = (t) => ({ ...t, loss: unpack(t.loss), dz: t.dz && t.dz.map(unpack) });
  const targets = picture.targets.map(opened);
  Object.assign(picture, {
    id, prediction, targets,
    title: section.querySelector("h2").lastChild.textContent,
    hi: lo + step * (count - 1),
    axis: Array.from({ length: count }, (_, i) => lo + i * step),
    ranges: {
      prediction: extent([...prediction, ...targets.map((t) => t.y)]),
      loss: extent([[0], ...targets.map((t) => t.loss)]),
    },
    focus: 0,
    sliders: [],
  });
  section.setAttribute("aria-label", picture.title);
  addChoice(picture, section);
  addFigure(picture, section);
  addOutcome(picture, section);
  halt(picture);
  draw(picture);
  new ResizeObserver(() => {
    if (picture.at?.width !== picture.figure.clientWidth) draw(picture);
  }).observe(picture.figure);
}

for (const [id, picture] of Object.entries(PICTURES)) prepare(id, picture);

// On paper, which is narrower than most windows, each picture is drawn for its width.
function drawAt(width) {
  for (const picture of Object.values(PICTURES)) {
    picture.figure.style.width = width;
    draw(picture);
  }
}

addEventListener("beforeprint", () => drawAt("600px"));
addEventListener("afterprint", () => drawAt(""));
