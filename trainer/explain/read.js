"use strict";
// What there is to see: read from the samples in this page. No model's formula is in these scripts.

const PICTURES = JSON.parse(document.getElementById("samples").textContent);

// A table as numbers: a large one comes as base64 of int16, counted in steps of 1/per_unit.
function unpack(table) {
  if (Array.isArray(table)) return table;
  const bytes = Uint8Array.from(atob(table.int16), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const at = (_, i) => view.getInt16(2 * i, true) / table.per_unit;
  return Float64Array.from({ length: bytes.length / 2 }, at);
}

// The table's value at these scores: straight between the two nearest samples of each.
function read(picture, table, scores) {
  const { lo, step, count } = picture;
  let corners = [[0, 1]]; // [place in the table, share]
  for (const z of scores) {
    const at = clamp((z - lo) / step, 0, count - 1);
    const left = Math.min(Math.floor(at), count - 2);
    corners = corners.flatMap(([place, share]) => [
      [place * count + left, share * (left + 1 - at)],
      [place * count + left + 1, share * (at - left)],
    ]);
  }
  return corners.reduce((sum, [place, share]) => sum + share * table[place], 0);
}

// All that is drawn at these scores, for one output: the one in focus unless told otherwise.
function look(picture, scores = picture.scores, output = picture.focus) {
  const target = picture.targets[picture.chosen];
  const y = target.y[output];
  const prediction = read(picture, picture.prediction[output], scores);
  const error = prediction - y;
  // No table of dL/dz: the model gave back ŷ − y itself.
  const slope = target.dz ? read(picture, target.dz[output], scores) : error;
  const loss = read(picture, target.loss, scores);
  return { z: scores[output], y, prediction, error, slope, loss };
}

// The same at every sample of the score in focus, the other scores as they are.
function along(picture, output = picture.focus) {
  return picture.axis.map((z) => {
    const scores = [...picture.scores];
    scores[picture.focus] = z;
    return { ...look(picture, scores, output), z };
  });
}

// --- numbers and letters -------------------------------------------------------------------------

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function fixed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
}

// The letters of an output, in HTML: with the name of its class where there are several.
function letters(picture, output = picture.focus) {
  const name = picture.outputs[output];
  const letter = (l) => `<i>${l}</i>` + (name && `<sub>${name}</sub>`);
  const [z, y, prediction] = ["z", "y", "ŷ"].map(letter);
  return { z, y, prediction, error: `${prediction} − ${y}`, slope: `d<i>L</i>/d${z}` };
}

const BELOW = '<tspan class="sub" dy=".25em">$1</tspan><tspan dy="-.19em">\u200b</tspan>';
const inSvg = (html) =>
  html
    .replace(/<i>(.*?)<\/i>/g, '<tspan class="var">$1</tspan>')
    .replace(/<sub>(.*?)<\/sub>/g, BELOW);
const inWords = (html) => html.replace(/<[^>]*>/g, "");
