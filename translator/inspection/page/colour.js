// Colours: lightness grows (dark theme) or falls (light theme) along the whole scale, so hues need not be told apart.

const SCALES = {
  light: ["#fdfcf6", "#e6f1d3", "#bce1bf", "#7fc8c0", "#48a7be", "#2f82b4", "#2c5c9e", "#2a397d", "#1a1145"],
  dark: ["#15131f", "#292350", "#33447f", "#2f678d", "#27878e", "#2aa784", "#68c564", "#b3dc40", "#fdf06a"],
};
const MASKED = { light: ["#c9cad0", "#a7a9b3"], dark: ["#41444e", "#5b5f6c"] };

// Okabe and Ito's colours for heads, blue first; yellow and black change with the theme so that they stay visible.
const HEAD_COLOURS = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#a89c00"],
  dark: ["#2f94e0", "#e8701a", "#12b886", "#d68ab5", "#f0ad1f", "#8fd0f5", "#ffffff", "#f0e442"],
};
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];

const headColour = (number) => HEAD_COLOURS[state.theme][(number - 1) % 8];
const headDash = (number) => DASHES[Math.floor((number - 1) / 8) % DASHES.length];

const channels = (hex) => [1, 3, 5].map((from) => parseInt(hex.slice(from, from + 2), 16));

// The colours of the 256 byte values that store weights: even steps of the square root of the weight.
const tables = Object.fromEntries(
  Object.entries(SCALES).map(([theme, stops]) => {
    const points = stops.map(channels);
    const table = Array.from({ length: 256 }, (_, byte) => {
      const place = (byte / 255) * (points.length - 1);
      const before = Math.min(Math.floor(place), points.length - 2);
      return points[before].map((value, channel) =>
        Math.round(value + (points[before + 1][channel] - value) * (place - before)));
    });
    return [theme, table];
  }),
);
const step = (weight) => Math.round(255 * Math.sqrt(Math.min(1, weight)));
const weightColour = (weight) => `rgb(${tables[state.theme][step(weight)].join(" ")})`;
const inkOn = (weight) => {
  const [red, green, blue] = tables[state.theme][step(weight)];
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#101014" : "#ffffff";
};

// One pixel per weight.
function paintSmall(canvas, head) {
  const [rows, columns] = [rowLabels(head.kind).length, columnLabels(head.kind).length];
  const weights = weightsOf(head);
  canvas.width = columns;
  canvas.height = rows;
  canvas.classList.toggle("fine", Math.max(rows, columns) > 80);
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const masked = channels(MASKED[state.theme][0]);
  for (let place = 0; place < weights.length; place++) {
    const isHidden = isMasked(head.kind, Math.floor(place / columns), place % columns);
    image.data.set(isHidden ? masked : tables[state.theme][step(weights[place])], 4 * place);
    image.data[4 * place + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function hatch(context, size) {
  const [ground, stroke] = MASKED[state.theme];
  const tile = element("canvas", { width: size, height: size });
  const on = tile.getContext("2d");
  on.fillStyle = ground;
  on.fillRect(0, 0, size, size);
  on.strokeStyle = stroke;
  on.lineWidth = size / 8;
  for (const shift of [-size, 0, size]) {
    on.beginPath();
    on.moveTo(shift, size);
    on.lineTo(shift + size, 0);
    on.stroke();
  }
  return context.createPattern(tile, "repeat");
}

function drawLegends() {
  for (const legend of document.querySelectorAll(".legend")) {
    const scale = element("div", { class: "scale" });
    const name = "colours of weights from 0 to 1";
    const ramp = element("canvas", { width: 256, height: 1, role: "img", "aria-label": name });
    const context = ramp.getContext("2d");
    tables[state.theme].forEach((colour, byte) => {
      context.fillStyle = `rgb(${colour.join(" ")})`;
      context.fillRect(byte, 0, 1, 1);
    });
    scale.append(ramp);
    for (const weight of [0, 0.01, 0.1, 0.25, 0.5, 1]) {
      const tick = element("span", { class: "tick" }, String(weight));
      tick.style.left = `${100 * Math.sqrt(weight)}%`;
      scale.append(tick);
    }
    const swatch = element("canvas", { class: "swatch", width: 28, height: 18, "aria-hidden": "true" });
    const on = swatch.getContext("2d");
    on.fillStyle = hatch(on, 8);
    on.fillRect(0, 0, 28, 18);
    const masked = element("span", { class: "masked" }, swatch, "masked: not to be seen yet");
    const aligned = data.alignmentHead && !legend.closest("dialog") ? ["★ alignments come from this head"] : [];
    legend.replaceChildren("weight", scale, masked, ...aligned);
  }
}
