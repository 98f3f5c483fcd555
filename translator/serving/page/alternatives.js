"use strict";
// Other translations of a sentence, and of it from a word on; choosing one puts it into the translation.

const SENTENCES = 4;
const FROM_A_WORD = 8; // More, because many begin with the same word.

function closeAlternatives() {
  byId("alternatives").hidden = true;
  byId("alternatives").replaceChildren();
}

async function askFor(source, prefix, wanted) {
  const alternatives = Math.min(wanted, state.settings.alternativesLimit);
  const found = await call("translate", { q: source, ...sourceAndTarget(), alternatives, ...(prefix && { prefix }) });
  return [found.translatedText, ...found.alternatives];
}

// Of the translations that begin with a prefix, one for each word that can follow it instead of the one that does.
function nextWords(texts, prefix, word) {
  const firstWord = (text) => {
    const rest = text.slice(prefix.length);
    const [span] = cut(rest, byId("answer").lang, "word");
    return span && rest.slice(...span);
  };
  const seen = new Set([word, undefined]);
  return texts.filter((text) => text.startsWith(prefix) && !seen.has(firstWord(text)) && seen.add(firstWord(text)));
}

async function showAlternatives(moveFocus) {
  const [number, word, chosen] = [state.asked, state.at, chosenSentence()];
  const { source, text } = chosen;
  const before = word ? text.slice(0, wordSpan(word)[0] - chosen.sentence.text[0]) : "";
  const panel = byId("alternatives");
  panel.replaceChildren(element("p", "Asking for other translations …"));
  panel.hidden = false;
  try {
    const [sentences, fromWord] = await Promise.all([
      askFor(source, "", SENTENCES),
      word ? askFor(source, before, FROM_A_WORD) : [],
    ]);
    if (number !== state.asked || state.at !== word || panel.hidden) return;
    const others = sentences.filter((own) => own !== text);
    const next = word ? nextWords(fromWord, before, word.textContent) : [];
    fail("");
    panel.replaceChildren(
      ...(word ? section(`Instead of “${word.textContent}”`, next, chosen, before.length) : []),
      ...section("Instead of the sentence", others.filter((own) => !next.includes(own)), chosen, 0),
    );
    if (moveFocus) panel.querySelector("button")?.focus();
  } catch (error) {
    closeAlternatives();
    if (number === state.asked) fail(error.message);
  }
}

function section(name, texts, chosen, shownFrom) {
  const items = texts.map((text) => {
    const button = element("button", shownFrom ? `… ${text.slice(shownFrom)}` : text);
    button.type = "button";
    Object.assign(button, { lang: byId("answer").lang, dir: byId("answer").dir });
    button.addEventListener("click", () => choose(chosen, text));
    return element("li", "", button);
  });
  return [element("h3", name), items.length ? element("ul", "", ...items) : element("p", "The model finds no other.")];
}

// Put another translation of a sentence into its line, with its own links.
async function choose({ line, sentence, source }, text) {
  const [number, index] = [state.asked, line.sentences.indexOf(sentence)];
  const [begin, end] = sentence.text;
  const more = text.length - (end - begin);
  const moved = ([first, last]) => (first >= end ? [first + more, last + more] : [first, last]);
  line.text = line.text.slice(0, begin) + text + line.text.slice(end);
  line.links = line.links
    .filter(([, , first, last]) => !overlaps([first, last], [begin, end]))
    .map(([from, to, ...span]) => [from, to, ...moved(span)]);
  line.sentences = line.sentences.map((own) => ({ source: own.source, text: moved(own.text) }));
  line.sentences[index] = { source: sentence.source, text: [begin, begin + text.length] };
  const isLinked = byId("answer").querySelector(".word") !== null;
  closeAlternatives();
  render(isLinked);
  byId("answer").focus();
  if (!isLinked) return;
  try {
    const found = await call("translate", { q: source, ...sourceAndTarget(), prefix: text, characters: true });
    if (number !== state.asked || !found.translatedText.startsWith(text)) return;
    const own = readLine(source, found.translatedText, 0, found.characters[0]);
    const inside = own.links.filter(([, , , last]) => last <= text.length);
    const start = sentence.source[0];
    const moveTo = ([from, to, first, last]) => [from + start, to + start, first + begin, last + begin];
    line.links.push(...inside.map(moveTo));
  } catch (error) {
    fail(error.message);
  }
}
