"use strict";
// Requests to the server, and what the page says when one fails. Text is only ever inserted as text.

const byId = (id) => document.getElementById(id);
function element(kind, text, ...children) {
  const made = document.createElement(kind);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

const state = {
  asked: 0, // Requests for a translation so far; only the answer to the newest is shown.
  waiting: null, // The AbortController of the newest.
  timer: 0,
  languages: [],
  settings: {},
  lines: [], // The lines of the translation, as `readLine` returns them.
  at: null, // The word of the translation that is chosen: its element.
  pointed: undefined, // The word of the text that the pointer was over last: its element in the shade.
  detected: "", // The language of the text, if the server was asked to find it.
};

class ServerError extends Error {
  // `seconds` until it is worth asking again; 0 if it is not.
  constructor(message, seconds = 0) {
    super(message);
    this.seconds = seconds;
  }
}

function fail(message) {
  byId("error").textContent = message;
  byId("error").hidden = !message;
}

const NO_ANSWER = "The server does not answer. The page tries again by itself; check that the server is running.";
const SECONDS_UNTIL_NEXT_TRY = 2;

async function call(path, fields, signal) {
  let answer;
  try {
    const body = fields && JSON.stringify(byId("key").value ? { ...fields, api_key: byId("key").value } : fields);
    const request = { method: "POST", headers: { "Content-Type": "application/json" }, body };
    answer = await fetch(path, fields ? { ...request, signal } : {});
  } catch {
    throw new ServerError(NO_ANSWER, SECONDS_UNTIL_NEXT_TRY);
  }
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  const message = found.error || `The server answered with status ${answer.status}.`;
  throw new ServerError(message, Number(answer.headers.get("Retry-After")) || 0);
}

// The language codes of the direction that is chosen.
const direction = () => ({ source: byId("source").value, target: byId("target").value });
// The same with the language that the server has found, for requests about a part of the text.
const sourceAndTarget = () => ({ ...direction(), ...(state.detected && { source: state.detected }) });

const RIGHT_TO_LEFT = new Set(
  ("ar arc ckb dv fa glk he iw khw ks mzn nqo pnb prs ps sd syr ug ur yi " +
    "ara fas heb pbt pes pus snd uig urd ydd").split(" "),
);
const RIGHT_TO_LEFT_SCRIPT = /^(Arab|Aran|Hebr|Thaa|Syrc|Nkoo|Adlm|Rohg)$/;

// Language and direction of an element that holds text in a language; codes such as `ar`, `pt-BR` and `kas_Arab`.
function writeIn(element, code) {
  const [language, ...others] = code.split(/[-_]/);
  const script = others.find((own) => /^[A-Z][a-z]{3}$/.test(own));
  const isRightToLeft = script ? RIGHT_TO_LEFT_SCRIPT.test(script) : RIGHT_TO_LEFT.has(language);
  element.lang = code === "auto" ? "" : code.replaceAll("_", "-");
  element.dir = code === "auto" ? "auto" : isRightToLeft ? "rtl" : "ltr";
}

// The shade of the text breaks its lines where the text does, and has its scroll bar on the same side.
function writeTextIn(code) {
  for (const id of ["text", "shade"]) writeIn(byId(id), code);
}
