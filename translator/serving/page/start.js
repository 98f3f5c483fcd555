"use strict";
// What happens when the page is opened, and what its buttons do.

function fill(list, languages) {
  list.replaceChildren(...languages.map((own) => new Option(own.name, own.code)));
}

const canBeTranslated = (own) => own.targets.some((code) => code !== own.code);

function fillSources() {
  const sources = state.languages.filter(canBeTranslated);
  fill(byId("source"), sources.length > 1 ? [{ code: "auto", name: "Detect language" }, ...sources] : sources);
}

function fillTargets() {
  const [code, before] = [byId("source").value, byId("target").value];
  const from = state.languages.filter((own) => code === "auto" || own.code === code);
  const isTarget = (own) => from.some((each) => each !== own && each.targets.includes(own.code));
  fill(byId("target"), state.languages.filter(isTarget));
  if ([...byId("target").options].some((option) => option.value === before)) byId("target").value = before;
  turned();
}

// The direction has changed: texts are written in its languages, and it can be swapped if there is a model.
function turned() {
  const { source, target } = direction();
  const back = state.languages.find((own) => own.code === target);
  byId("swap").disabled = !back || (source === "auto" ? !canBeTranslated(back) : !back.targets.includes(source));
  writeTextIn(source);
}

function swap() {
  const { source, target } = direction();
  if (byId("answer").textContent) byId("text").value = byId("answer").textContent;
  byId("source").value = target;
  fillTargets();
  byId("target").value = source === "auto" ? state.detected : source;
  if (!byId("target").value) byId("target").selectedIndex = 0;
  turned();
  translate();
}

async function look() {
  const form = byId("attention");
  const { source: q, text: translation } = chosenSentence();
  const values = { ...sourceAndTarget(), q, translation, api_key: byId("key").value };
  for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
  try {
    await call("health"); // A frame cannot show why it stays empty.
  } catch (error) {
    return fail(error.message);
  }
  byId("maps").hidden = false;
  form.submit();
  byId("maps").scrollIntoView({ block: "nearest" });
}

async function copy(from, button) {
  const before = button.textContent;
  // Without TLS, browsers offer the clipboard only on loopback, but still copy what is selected.
  const selected = () => {
    getSelection().selectAllChildren(from);
    if (!document.execCommand("copy")) throw new Error("The browser does not allow copying.");
  };
  try {
    await (navigator.clipboard ? navigator.clipboard.writeText(from.textContent) : selected());
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = before), 1500);
  } catch {
    fail("The browser does not allow copying here; select the text and copy it.");
  }
}

function startTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const choose = (isDark) => {
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    byId("theme").setAttribute("aria-pressed", String(isDark));
  };
  choose(system.matches);
  system.addEventListener("change", () => choose(system.matches));
  byId("theme").addEventListener("click", () => choose(document.documentElement.dataset.theme !== "dark"));
}

async function load() {
  try {
    const paths = ["languages", "frontend/settings", "models"];
    const [languages, settings, models] = await Promise.all(paths.map((path) => call(path)));
    Object.assign(state, { languages, settings });
    fillSources();
    byId("source").value = settings.language.source.code;
    fillTargets();
    byId("target").value = settings.language.target.code;
    turned();
    byId("key-label").hidden = !settings.keyRequired;
    byId("file").accept = settings.supportedFilesFormat.join(",");
    byId("formats").textContent = `Formats: ${settings.supportedFilesFormat.join(", ")}.`;
    byId("models").replaceChildren(...models.map(showModel));
    document.body.dataset.ready = "yes";
    await translate(); // Of what a browser has kept in the box.
  } catch (error) {
    fail(error.message);
    if (error.seconds) setTimeout(load, 1000 * error.seconds);
  }
}

function start() {
  startTheme();
  const on = (id, event, action) => byId(id).addEventListener(event, action);
  on("text", "input", typed);
  on("source", "change", () => (fillTargets(), translate()));
  on("target", "change", () => (turned(), translate()));
  on("key", "change", translate);
  on("direction", "submit", (event) => event.preventDefault());
  on("swap", "click", swap);
  on("look", "click", look);
  on("more", "click", () => showAlternatives(true));
  on("alternatives", "keydown", (event) => event.key === "Escape" && (closeAlternatives(), byId("answer").focus()));
  startLinks();
  on("file", "click", () => (byId("file").value = "")); // The same file can be chosen again.
  on("file", "change", upload);
  on("copy", "click", () => copy(byId("answer"), byId("copy")));
  for (const button of document.querySelectorAll(".copier"))
    button.addEventListener("click", () => copy(byId(button.dataset.from), button));
  load();
}

start();
