// Words of a line, and which of them another line lacks.

const UNSPACED = "[\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}\\p{Script=Tibetan}]\\p{M}*";
// A letter of a script without spaces, a word with its marks, apostrophes and hyphens, a space, or any other character.
const TOKEN = new RegExp(`${UNSPACED}|(?:(?!${UNSPACED})[\\p{L}\\p{N}]\\p{M}*)+(?:['’-](?:(?!${UNSPACED})[\\p{L}\\p{N}]\\p{M}*)+)*|\\s+|[^]`, "gu");
const MOST_CELLS = 4e6;

const tokensOf = (line) => line.match(TOKEN) || [];
const isSpace = (token) => /^\s+$/u.test(token);

// Whether each token of `one` is missing from `other`, by the longest common subsequence.
function missing(one, other) {
  const width = other.length + 1;
  if ((one.length + 1) * width > MOST_CELLS) {
    const known = new Set(other);
    return one.map((token) => !known.has(token));
  }
  const longest = new Uint32Array((one.length + 1) * width);
  for (let row = one.length - 1; row >= 0; row--)
    for (let column = other.length - 1; column >= 0; column--)
      longest[row * width + column] =
        one[row] === other[column]
          ? longest[(row + 1) * width + column + 1] + 1
          : Math.max(longest[(row + 1) * width + column], longest[row * width + column + 1]);
  const found = new Array(one.length).fill(true);
  for (let row = 0, column = 0; row < one.length && column < other.length; ) {
    if (one[row] === other[column]) {
      found[row] = false;
      row++;
      column++;
    } else if (longest[(row + 1) * width + column] >= longest[row * width + column + 1]) row++;
    else column++;
  }
  return found;
}

// A translation as nodes: words that the other lacks are marked, by whether a reference has them in this order.
function marked(line, other, references) {
  const tokens = tokensOf(line);
  const words = tokens.filter((token) => !isSpace(token));
  const wordsOf = (text) => tokensOf(text).filter((token) => !isSpace(token));
  const differs = missing(words, wordsOf(other));
  const wrong = references.map((reference) => missing(words, wordsOf(reference)));
  const kinds = [];
  let word = 0;
  for (const token of tokens) {
    if (isSpace(token)) kinds.push(null);
    else {
      kinds.push(!differs[word] ? "" : wrong.every((found) => found[word]) ? "other" : "right");
      word++;
    }
  }
  // A space between two words of a kind belongs to them.
  const nodes = [];
  let text = "";
  let kind = "";
  const flush = () => {
    if (text) nodes.push(kind ? make("mark", { className: kind, text }) : document.createTextNode(text));
    text = "";
  };
  tokens.forEach((token, index) => {
    const own = kinds[index] !== null ? kinds[index] : kinds[index + 1] === kinds[index - 1] ? kinds[index - 1] || "" : "";
    if (own !== kind) flush();
    kind = own;
    text += token;
  });
  flush();
  return nodes;
}
