"use strict";
// The translation as words that know which words of the text they come from. The text itself is in a box to type in,
// whose words cannot be coloured; its shade, the same text without colour, lies under it and has the marks.

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
  unlink();
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

const wordsOfSource = (line) => (line.words ??= cut(line.source, byId("text").lang, "word"));

// The words of the text that a word of the translation comes from, as spans of its line.
function sourceWords(word) {
  const line = lineOf(word);
  const links = line.links.filter(([, , first, last]) => overlaps([first, last], wordSpan(word)));
  return wordsOfSource(line).filter((span) => links.some(([begin, end]) => overlaps(span, [begin, end])));
}

function unlink() {
  for (const word of document.querySelectorAll(".linked, .chosen")) word.classList.remove("linked", "chosen");
  byId("shade").replaceChildren();
  byId("link").textContent = "";
  state.at = null;
}

function shade(line, spans) {
  const text = byId("text").value;
  const nodes = [];
  let at = 0;
  for (const [begin, end] of spans.map(([first, last]) => [line.start + first, line.start + last])) {
    nodes.push(text.slice(at, begin), element("mark", text.slice(begin, end)));
    at = end;
  }
  byId("shade").replaceChildren(...nodes, text.slice(at));
  byId("shade").scrollTop = byId("text").scrollTop;
}

function linkWord(word) {
  unlink();
  state.at = word;
  const [line, spans] = [lineOf(word), sourceWords(word)];
  word.classList.add("linked");
  word.parentElement.classList.add("chosen");
  shade(line, spans);
  const sources = spans.map((span) => line.source.slice(...span)).join(" ");
  byId("link").textContent = sources ? `${word.textContent} ← ${sources}` : "";
}

// The word of the text at the caret, and the words of the translation that come from it.
function linkCaret() {
  const at = byId("text").selectionStart;
  const words = [...document.querySelectorAll("#answer .word")];
  if (!words.length || byId("answer").ariaBusy === "true" || byId("alternatives").hidden === false) return;
  unlink();
  const line = state.lines.findLast((own) => own.start <= at);
  if (!line) return;
  const isAtCaret = ([begin, end]) => begin <= at - line.start && at - line.start <= end;
  const span = wordsOfSource(line).find(isAtCaret);
  const links = line.links.filter(([begin, end]) => span && overlaps([begin, end], span));
  const comesFromIt = (word) => links.some(([, , first, last]) => overlaps([first, last], wordSpan(word)));
  const linked = words.filter((word) => lineOf(word) === line && comesFromIt(word));
  if (!linked.length) return;
  for (const word of linked) word.classList.add("linked");
  shade(line, [span]);
  byId("link").textContent = `${line.source.slice(...span)} → ${linked.map((word) => word.textContent).join(" ")}`;
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
  text.addEventListener("scroll", () => (byId("shade").scrollTop = text.scrollTop));
  for (const event of ["click", "keyup"]) text.addEventListener(event, linkCaret);
}
