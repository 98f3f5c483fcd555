"use strict";
// Files: sent with progress, and fetched when they are translated.

function upload() {
  const file = byId("file").files[0];
  const say = (text) => (byId("file-status").textContent = text);
  byId("download").hidden = true;
  if (!file) return say("");
  const most = state.settings.fileBytesLimit;
  if (file.size > most) return say(`${file.name} is larger than ${most.toLocaleString("en")} bytes.`);
  const [request, fields, bar] = [new XMLHttpRequest(), new FormData(), byId("progress")];
  for (const [name, value] of Object.entries({ ...direction(), file })) fields.append(name, value);
  if (byId("key").value) fields.append("api_key", byId("key").value);
  bar.hidden = false;
  bar.value = 0;
  say(`${file.name} is being sent.`);
  request.upload.addEventListener("progress", (event) => (bar.value = event.loaded / (event.total || 1)));
  request.upload.addEventListener("load", () => {
    bar.removeAttribute("value"); // The server does not tell how far it is.
    say(`${file.name} is being translated.`);
  });
  request.addEventListener("error", () => say("The server does not answer; check that it is running, and try again."));
  request.addEventListener("load", () => {
    const found = request.response || {};
    if (request.status !== 200) return say(found.error || `The server answered with status ${request.status}.`);
    // Only the name is used: through a proxy, host and path may be others.
    byId("download").href = `download_file/${found.translatedFileUrl.split("/").pop()}`;
    byId("download").download = "";
    byId("download").hidden = false;
    say(`${file.name} is translated.`);
  });
  request.addEventListener("loadend", () => (bar.hidden = true));
  request.open("POST", "translate_file");
  request.responseType = "json";
  request.send(fields);
}
