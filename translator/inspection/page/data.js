// The data of the page: heads, their weights, and what their rows and columns are called.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const state = { words: false, theme: "light" };

const KINDS = {
  encoder: { name: "encoder self-attention", rows: "source", columns: "source" },
  decoder: { name: "masked decoder self-attention", rows: "target", columns: "target" },
  cross: { name: "cross-attention", rows: "predicted", columns: "source" },
};
for (const kind of Object.keys(KINDS)) if (!data.layers[kind]) delete KINDS[kind];

const heads = [];
{
  let offset = 0;
  for (const [kind, layer, number, entropy, maximum] of data.heads) {
    const rows = data.sides[KINDS[kind].rows].pieces.length;
    const columns = data.sides[KINDS[kind].columns].pieces.length;
    const key = `${kind}.${layer}.${number}`;
    heads.push({ kind, layer, number, entropy, maximum, rows, columns, offset, key, index: heads.length });
    offset += rows * columns;
  }
}

function bytesOf(encoded) {
  const text = atob(encoded);
  const found = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place++) found[place] = text.charCodeAt(place);
  return found;
}
const bytes = bytesOf(data.weights);
const WEIGHT_OF_BYTE = Float64Array.from({ length: 256 }, (_, byte) => (byte / 255) ** 2);

const headNamed = (key) => heads.find((head) => head.key === key);
const headName = (head) => `${KINDS[head.kind].name}, layer ${head.layer}, head ${head.number}`;
const headFigures = (head) =>
  `mean entropy ${head.entropy.toFixed(2)} nats, mean maximum ${head.maximum.toFixed(2)}`;
const headsOf = (kind, layer) => heads.filter((head) => head.kind === kind && head.layer === layer);

// Pieces or words of a side, as currently shown.
const labelsOf = (side) => (state.words ? data.sides[side].words : data.sides[side].pieces);
const rowLabels = (kind) => labelsOf(KINDS[kind].rows);
const columnLabels = (kind) => labelsOf(KINDS[kind].columns);

// Whether the decoder cannot see a position yet, as opposed to giving it no weight.
const isMasked = (kind, row, column) => kind === "decoder" && column > row;

// The weights of a head, row by row, as currently shown; every row sums to one.
function weightsOf(head) {
  const { rows, columns } = head;
  const pieces = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const from = head.offset + row * columns;
    let sum = 0;
    for (let column = 0; column < columns; column++) sum += WEIGHT_OF_BYTE[bytes[from + column]];
    const scale = sum > 0 ? 1 / sum : 0;
    for (let column = 0; column < columns; column++)
      pieces[row * columns + column] = WEIGHT_OF_BYTE[bytes[from + column]] * scale;
  }
  return state.words ? merged(head, pieces) : pieces;
}

// Adds over the pieces of a word that is looked at, and averages over the pieces of a word that looks.
function merged(head, pieces) {
  const rows = data.sides[KINDS[head.kind].rows];
  const columns = data.sides[KINDS[head.kind].columns];
  const width = columns.words.length;
  const sizes = new Uint32Array(rows.words.length);
  for (const word of rows.numbers) sizes[word]++;
  const words = new Float32Array(rows.words.length * width);
  for (let row = 0; row < head.rows; row++) {
    const word = rows.numbers[row];
    for (let column = 0; column < head.columns; column++)
      words[word * width + columns.numbers[column]] += pieces[row * head.columns + column] / sizes[word];
  }
  return words;
}

// Pairs [index, weight] of the largest weights, largest first.
function largest(weights, count) {
  return Array.from(weights, (weight, index) => [index, weight])
    .filter(([, weight]) => weight > 0)
    .sort((one, other) => other[1] - one[1])
    .slice(0, count);
}

function asNumber(weight) {
  if (weight === 0) return "0";
  if (weight < 0.0005) return "<0.001";
  return weight.toFixed(weight < 0.0995 ? 3 : 2);
}
