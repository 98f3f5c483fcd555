"use strict";
// The translation as words that know which words of the text they come from. The text itself is in a box to type in,
// whose words cannot be coloured or pointed at. Its shade lies under it: the same text without colour, whose words can.

const MOST_LINKED_CHARACTERS = 5000; // The words of longer texts are not linked: that would take long.

// The parts of a text in a language, as [begin, end].
function cut(text, language, granularity) {
  if (!Intl.Segmenter) return granularity === "word" ? [...text.matchAll(/\S+/g)].map(spanOf) : [[0, text.length]];
  const parts = [...new Intl.Segmenter(language || "en", { granularity }).segment(text)];
  if (granularity === "word") return parts.filter((part) => part.isWordLike).map(spanOf);
  // Sentences without the white space after them.
  const spans = parts.map((part) => [part.index, part.index + part.segment.trimEnd().length]);
  return spans.filter(([begin, end]) => end > begin);
}

const spanOf = (part) => [part.index, part.index + (part[0] ?? part.segment).length];
const overlaps = ([begin, end], [first, last]) => begin < last && first < end;

// A function from indices of characters, as the server counts them, to indices of JavaScript's strings.
function counter(text) {
  if (!/[\ud800-\udbff]/.test(text)) return (index) => index;
  const begins = [0];
  for (const character of text) begins.push(begins.at(-1) + character.length);
  return (index) => begins[Math.min(index, begins.length - 1)];
}

// A line: source and text, `start` of the source in all lines, links [source begin, end, text begin, end], and pairs of
// sentences { source: span, text: span }; a single pair if the numbers of sentences differ.
function readLine(source, text, start, characters) {
  const skipped = source.length - source.trimStart().length;
  const [from, to] = [counter(source), counter(text)];
  // A piece that is only the space before a word counts as the first character of the word.
  const link = ([begin, end, first, last]) => [from(begin), from(Math.max(end, begin + 1)), to(first), to(last)];
  const links = characters.map(link);
  const [ours, theirs] = [cut(source, byId("text").lang, "sentence"), cut(text, byId("answer").lang, "sentence")];
  const whole = [{ source: [skipped, source.trimEnd().length], text: [0, text.trimEnd().length] }];
  const pairs = ours.map((span, index) => ({ source: span, text: theirs[index] }));
  return { source, text, start, links, sentences: ours.length === theirs.length ? pairs : whole };
}

function showAnswer(text, source, characters) {
  const [sources, texts] = [source.split("\n"), text.split("\n")];
  let start = 0;
  const starts = sources.map((line) => (start += line.length + 1) - line.length - 1);
  const line = (own, index) => readLine(sources[index] ?? "", own, starts[index] ?? 0, characters?.[index] ?? []);
  state.lines = text ? texts.map(line) : [];
  render(Boolean(characters));
  for (const id of ["copy", "look"]) byId(id).disabled = !text.trim();
  byId("more").disabled = !text.trim() || !state.settings.alternativesLimit;
}

function render(isLinked) {
  forgetLinks();
  if (isLinked) fillShade();
  const parts = state.lines.map((line, index) => (isLinked ? sentenceNodes(line, index) : [line.text]));
  byId("answer").replaceChildren(...parts.flatMap((nodes, index) => (index ? ["\n", ...nodes] : nodes)));
  byId("answer").setAttribute("aria-busy", "false");
}

function sentenceNodes(line, index) {
  const [nodes, words] = [[], cut(line.text, byId("answer").lang, "word")];
  let end = 0;
  for (const [number, sentence] of line.sentences.entries()) {
    nodes.push(line.text.slice(end, sentence.text[0]));
    const made = element("span", "", ...wordNodes(line.text, sentence.text, words));
    made.className = "sentence";
    Object.assign(made.dataset, { line: index, sentence: number });
    nodes.push(made);
    end = sentence.text[1];
  }
  return [...nodes, line.text.slice(end)];
}

function wordNodes(text, [first, last], words) {
  const nodes = [];
  let at = first;
  for (const [begin, end] of words.filter((span) => overlaps(span, [first, last]))) {
    const made = element("span", text.slice(begin, end));
    made.className = "word";
    Object.assign(made.dataset, { begin, end });
    nodes.push(text.slice(at, begin), made);
    at = end;
  }
  return [...nodes, text.slice(at, last)];
}

const wordSpan = (word) => [Number(word.dataset.begin), Number(word.dataset.end)];
const lineOf = (word) => state.lines[Number(word.parentElement.dataset.line)];

// The sentence of the word that is chosen, or else the first one, with its texts.
function chosenSentence() {
  const at = state.at?.parentElement;
  const line = at ? lineOf(state.at) : state.lines.find((own) => own.text.trim());
  const sentence = line.sentences[at ? Number(at.dataset.sentence) : 0];
  return { line, sentence, source: line.source.slice(...sentence.source), text: line.text.slice(...sentence.text) };
}

function fillShade() {
  const nodes = state.lines.map(({ source }, index) => {
    const words = cut(source, byId("text").lang, "word");
    const made = element("span", "", ...wordNodes(source, [0, source.length], words));
    made.dataset.line = index;
    return made;
  });
  // Other than a box, an element has no last line that is empty: the line feed at the end is for that.
  byId("shade").replaceChildren(...nodes.flatMap((made) => [made, "\n"]));
  scrollShade();
}

const scrollShade = () => (byId("shade").scrollTop = byId("text").scrollTop);
const wordsOf = (id, line) => [...byId(id).querySelectorAll(".word")].filter((word) => lineOf(word) === line);
const textOf = (words) => words.map((word) => word.textContent).join(" ");

function unlink() {
  for (const word of document.querySelectorAll(".linked, .chosen")) word.classList.remove("linked", "chosen");
  byId("link").textContent = "";
  state.at = null;
}

// The text is another one, or will be translated again.
function forgetLinks() {
  unlink();
  byId("shade").replaceChildren();
}

// Mark a word of the translation and the words of the text that it comes from.
function linkWord(word) {
  unlink();
  state.at = word;
  const line = lineOf(word);
  const links = line.links.filter(([, , first, last]) => overlaps([first, last], wordSpan(word)));
  const isSource = (own) => links.some(([begin, end]) => overlaps(wordSpan(own), [begin, end]));
  const sources = wordsOf("shade", line).filter(isSource);
  for (const own of [word, ...sources]) own.classList.add("linked");
  word.parentElement.classList.add("chosen");
  byId("link").textContent = sources.length ? `${word.textContent} ← ${textOf(sources)}` : "";
}

// Mark a word of the text and the words of the translation that come from it.
function linkSource(word) {
  unlink();
  const line = lineOf(word);
  const links = line.links.filter(([begin, end]) => overlaps([begin, end], wordSpan(word)));
  const comesFromIt = (own) => links.some(([, , first, last]) => overlaps([first, last], wordSpan(own)));
  const linked = wordsOf("answer", line).filter(comesFromIt);
  if (!linked.length) return;
  for (const own of [word, ...linked]) own.classList.add("linked");
  byId("link").textContent = `${word.textContent} → ${textOf(linked)}`;
}

const mayLinkSource = () => byId("answer").ariaBusy !== "true" && byId("alternatives").hidden !== false;

function linkCaret() {
  if (!mayLinkSource()) return;
  unlink();
  const at = byId("text").selectionStart;
  const line = state.lines.findLast((own) => own.start <= at);
  if (!line) return;
  const isAtCaret = ([begin, end]) => begin <= at - line.start && at - line.start <= end;
  const word = wordsOf("shade", line).find((own) => isAtCaret(wordSpan(own)));
  if (word) linkSource(word);
}

// The pointer is over the box, and over a word of the shade under it.
function linkPointed(event) {
  if (event.buttons || !mayLinkSource()) return; // Text is being selected.
  const under = document.elementsFromPoint(event.clientX, event.clientY);
  const word = under.find((own) => own.matches("#shade .word"));
  if (word === state.pointed) return;
  state.pointed = word;
  if (word) linkSource(word);
}

function stopPointing() {
  state.pointed = undefined;
  if (!mayLinkSource()) return;
  if (document.activeElement === byId("text")) linkCaret();
  else unlink();
}

function moveBetweenWords(event) {
  const words = [...document.querySelectorAll("#answer .word")];
  const at = words.indexOf(state.at);
  const forward = byId("answer").dir === "rtl" ? "ArrowLeft" : "ArrowRight";
  const backward = forward === "ArrowLeft" ? "ArrowRight" : "ArrowLeft";
  const next = { [forward]: at + 1, [backward]: Math.max(at, 1) - 1, Home: 0, End: words.length - 1 }[event.key];
  if (event.key === "Escape") {
    closeAlternatives();
    unlink();
  } else if (event.key === "Enter" && state.at) showAlternatives(true);
  else if (next !== undefined && words[next]) {
    linkWord(words[next]);
    words[next].scrollIntoView({ block: "nearest" });
  } else return;
  event.preventDefault();
}

function startLinks() {
  const [answer, text] = [byId("answer"), byId("text")];
  const isOpen = () => byId("alternatives").hidden === false;
  answer.addEventListener("pointerover", (event) => {
    if (event.target.matches(".word") && !isOpen()) linkWord(event.target);
  });
  answer.addEventListener("pointerleave", () => document.activeElement !== answer && !isOpen() && unlink());
  answer.addEventListener("click", (event) => {
    if (!event.target.matches(".word") || !getSelection().isCollapsed) return; // Text is being selected.
    linkWord(event.target);
    showAlternatives(false);
  });
  answer.addEventListener("keydown", moveBetweenWords);
  // The browser scrolls the shade when it finds in it what one looks for in the page.
  for (const own of [text, byId("shade")]) own.addEventListener("scroll", scrollShade);
  text.addEventListener("pointermove", linkPointed);
  text.addEventListener("pointerleave", stopPointing);
  for (const event of ["click", "keyup"]) text.addEventListener(event, linkCaret);
}
