"use strict";
// The translation as one types.

const PAUSE_MILLISECONDS = 300;

function showDetected(detected) {
  const own = detected && state.languages.find((language) => language.code === detected.language);
  state.detected = detected ? detected.language : "";
  byId("detected").textContent = detected ? `Detected: ${own ? own.name : detected.language}` : "";
  byId("detected").hidden = !detected;
  writeTextIn(state.detected || byId("source").value);
}

// How much of the limit the text takes; false if it is too long to be sent.
function fits(text) {
  const [most, count] = [state.settings.charLimit, [...text].length];
  const number = (value) => value.toLocaleString("en");
  byId("limit").textContent = most > 0 ? `${number(count)} of at most ${number(most)} characters` : "";
  return !(most > 0 && count > most);
}

async function translate() {
  clearTimeout(state.timer);
  const [number, q] = [++state.asked, byId("text").value];
  state.waiting?.abort();
  state.waiting = new AbortController();
  byId("maps").hidden = true;
  closeAlternatives();
  forgetLinks();
  showExamples();
  writeIn(byId("answer"), byId("target").value);
  if (!fits(q)) {
    showAnswer("", q);
    return fail("The text is longer than this server translates at once; shorten it, or upload it as several files.");
  }
  if (!q.trim()) {
    fail("");
    showDetected(null);
    return showAnswer("", q);
  }
  byId("answer").setAttribute("aria-busy", "true");
  try {
    const characters = q.length <= MOST_LINKED_CHARACTERS;
    const found = await call("translate", { q, ...direction(), characters }, state.waiting.signal);
    if (number !== state.asked) return;
    fail("");
    showDetected(found.detectedLanguage);
    showAnswer(found.translatedText, q, found.characters);
  } catch (error) {
    if (number !== state.asked) return;
    showAnswer("", q);
    fail(error.message);
    if (error.seconds) state.timer = setTimeout(translate, 1000 * error.seconds);
  }
}

function typed() {
  clearTimeout(state.timer);
  // A translation of the text before is no longer offered, nor shown when it comes.
  state.asked += 1;
  fits(byId("text").value);
  closeAlternatives();
  forgetLinks();
  for (const id of ["copy", "more", "look"]) byId(id).disabled = true;
  byId("answer").setAttribute("aria-busy", "true");
  state.timer = setTimeout(translate, PAUSE_MILLISECONDS);
}
