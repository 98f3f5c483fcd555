// Text is inserted as text: every string of the data reaches the page through `textContent`.

// Characters that are invisible or change the direction of the text around them: shown as their code point.
const HIDDEN = new RegExp([
  "[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c]",
  "[\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff\\ufff9-\\ufffb]",
  "[\\ud800-\\udbff](?![\\udc00-\\udfff])",
  "(?<![\\ud800-\\udbff])[\\udc00-\\udfff]",
].join("|"), "g");
const SPACES = /^[\s\u200c\u200d\ufe00-\ufe0f]+$/;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const codeName = (character) => "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");

// Nodes that show all of a text: invisible characters in a box, and a lone combining mark on a circle.
function visible(text) {
  const nodes = [];
  let from = 0;
  const odd = (name) => nodes.push(element("span", { class: "odd" }, name));
  if (SPACES.test(text)) {
    for (const character of text) odd(codeName(character));
    return nodes;
  }
  for (const found of text.matchAll(HIDDEN)) {
    if (found.index > from) nodes.push(text.slice(from, found.index));
    odd(codeName(found[0]));
    from = found.index + found[0].length;
  }
  if (from < text.length) nodes.push(text.slice(from));
  if (/^\p{M}/u.test(text)) nodes.unshift("\u25cc");
  return nodes;
}

// A piece or word, isolated from the direction of the text around it; the U+2581 that begins a word is faint.
function label(text) {
  const shown = element("bdi", { dir: "auto" });
  const begins = !state.words && text.startsWith("\u2581");
  if (begins) shown.append(element("span", { class: "space" }, "\u2581"));
  const rest = begins ? text.slice(1) : text;
  if (rest) shown.append(...visible(rest));
  return shown;
}

// A label that is cut if it is too long, with the full text as its title.
function shortLabel(text) {
  const shown = element("span", { class: "cut" }, label(text));
  if (text.length > 18) shown.title = label(text).textContent;
  return shown;
}

// What a row represents; at each position the decoder reads one piece and predicts the next.
function rowMeaning(kind, row) {
  if (kind === "encoder") return [label(rowLabels(kind)[row])];
  return [...readAndPredicted(row)];
}

function readAndPredicted(row) {
  const pair = ["target", "predicted"].map((side) => labelsOf(side)[row]);
  return ["reads ", label(pair[0] ?? ""), ", predicts ", label(pair[1] ?? "")];
}

const plain = (nodes) => nodes.map((node) => (typeof node === "string" ? node : node.textContent)).join("");
