"use strict";
/* The page of `stvg serve`: upload, ask, watch, look, correct. All it does goes through the API
   that /docs describes; texts from there are shown as text, never as HTML. */

const MOST_JOBS = 20; // listed
const LOOK_AGAIN_MS = 500; // for a video that a worker has yet to look at
const ENDED = ["done", "failed", "cancelled"];
const byId = id => document.getElementById(id);
const wait = ms => new Promise(resolve => setTimeout(resolve, ms));

/** What the API answers; refusals become errors with the service's own words. */
async function reach(path, options = {}) {
  const answer = await fetch(path, options).catch(() => {
    throw new Error("the service does not answer; is it still running?");
  });
  if (answer.ok) return answer;
  if (answer.status === 401) showSignIn();
  const { detail } = await answer.json().catch(() => ({}));
  throw new Error(detail ?? `the service answered ${answer.status}`);
}

/** A value from the API, or null where there is none. */
async function call(path, options = {}) {
  const answer = await reach(path, options);
  return answer.status === 204 ? null : answer.json();
}

const send = (path, value) => call(path, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });

function showSignIn() {
  byId("sign-in").hidden = false;
  byId("work").hidden = true;
}

byId("sign-in").addEventListener("submit", async event => {
  event.preventDefault();
  const input = event.target.querySelector("input");
  try {
    await call("/api/session", { method: "POST",
      headers: { Authorization: `Bearer ${input.value}` } });
    input.value = "";
    event.target.querySelector("[role=alert]").textContent = "";
    await begin();
  } catch (error) {
    event.target.querySelector("[role=alert]").textContent = error.message;
  }
});

/* Asking: a video, sentences, methods. */

let video = null; // what the service says about the chosen one
let isAsking = false;
let takes = 0; // counts them, so that of two uploads the later one wins
const ask = byId("ask"), drop = byId("drop"), findButton = ask.querySelector("button");

/** Tell those who hear the page what changed. */
const tell = text => byId("news").textContent = text;

function showAbout({ methods, formats }) {
  showFormats(formats);
  byId("methods").replaceChildren(byId("methods").querySelector("legend"), ...methods.map(
    ({ name }, number) => make("label", {}, make("input",
      { type: "checkbox", value: name, checked: number === 0 }), ` ${name}`)));
}

/** Upload a file; `fetch` tells nothing of its progress, so this is an XMLHttpRequest. */
function upload(file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/videos?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = event => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    };
    request.onerror = () => reject(new Error("the upload broke off; try again"));
    request.onload = () => request.status < 300 ? resolve(request.response)
      : reject(new Error(request.response?.detail ?? `the service answered ${request.status}`));
    request.send(file);
  });
}

async function take(file) {
  const bar = drop.querySelector("progress"), mine = ++takes;
  say("");
  findButton.disabled = true;
  byId("chosen").textContent = `Uploading ${file.name}`;
  bar.value = 0;
  bar.hidden = false;
  const progress = share => { if (mine === takes) bar.value = share; };
  try {
    const found = await lookedAt(await upload(file, progress));
    if (mine !== takes) return;
    video = found;
    byId("chosen").textContent = `${video.name}: ${video.width}×${video.height}, `
      + `${seconds(video.duration_s)}. Choose another`;
    findButton.disabled = false;
    tell(`${video.name} is uploaded`);
  } catch (error) {
    if (mine !== takes) return;
    byId("chosen").textContent = "Drop a video here, or choose one";
    say(error.message);
  }
  bar.hidden = true;
}

/** The video once a worker has looked at it. */
async function lookedAt(found) {
  while (found.state === "new") {
    await wait(LOOK_AGAIN_MS);
    found = await call(`/api/videos/${found.id}`);
  }
  if (found.state === "refused") throw new Error(found.reason);
  return found;
}

const say = text => byId("problem").textContent = text;

drop.querySelector("input").addEventListener("change", event => {
  if (event.target.files.length) take(event.target.files[0]);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, event => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

for (const kind of ["dragover", "drop"]) { // beside the place: the page stays
  addEventListener(kind, event => event.preventDefault());
}

ask.addEventListener("submit", async event => {
  event.preventDefault();
  const queries = byId("sentences").value.split("\n").map(line => line.trim()).filter(Boolean);
  const methods = [...byId("methods").querySelectorAll("input:checked")].map(each => each.value);
  if (!methods.length) return say("choose at least one method");
  if (isAsking) return; // pressed twice it is one job
  isAsking = true;
  say("");
  try {
    const job = await send("/api/jobs", { video: video.id, queries, methods });
    byId("jobs").prepend(new JobLine(job, true).element);
  } catch (error) {
    say(error.message);
  }
  isAsking = false;
});

/* Jobs: how they go, in step with the service's events. */

class JobLine {
  #told = make("p");
  #progress = make("progress", { "aria-label": "progress of the job" });
  #buttons = make("div", { class: "actions" });
  #state = null; // for which the buttons are

  /** @param opens Whether the result shall be shown as soon as it is there. */
  constructor(job, opens) {
    this.element = make("li", { "data-job": job.id }, this.#told, this.#buttons, this.#progress);
    this.opens = opens;
    this.#show(job);
    if (!ENDED.includes(job.state)) this.#watch(job.id);
  }

  #watch(id) {
    const events = new EventSource(`/api/jobs/${id}/events`);
    events.addEventListener("job", event => {
      const job = JSON.parse(event.data);
      if (ENDED.includes(job.state)) events.close();
      this.#show(job);
    });
  }

  #show(job) {
    const state = make("span", { class: `state-${job.state}` }, job.state);
    const { method, stage } = job.progress ?? {};
    const problems = Object.entries(job.problems).map(([name, text]) => `${name}: ${text}`);
    const facts = [[method, stage].filter(Boolean).join(": "), job.queries.join("; "),
      job.methods.join(", "), job.reason, ...problems];
    this.#told.replaceChildren(state, ...facts.filter(Boolean).map(fact => ` · ${fact}`));
    this.#progress.hidden = ENDED.includes(job.state);
    if (job.progress?.total) {
      this.#progress.max = job.progress.total;
      this.#progress.value = job.progress.done;
    } else this.#progress.removeAttribute("value");
    if (job.state === this.#state) return;
    if (this.#state) tell(`${job.state}: ${job.queries.join("; ")}`);
    this.#state = job.state;
    this.#buttons.replaceChildren(...this.#actionsOf(job));
    if (job.state === "done" && this.opens) open(job.id);
  }

  #actionsOf(job) {
    const button = (text, action) => make("button", {
      type: "button", "aria-label": `${text} the job ${job.queries.join("; ")}`,
      onclick: () => action().catch(error => say(error.message)),
    }, text);
    if (!ENDED.includes(job.state)) {
      return [button("Cancel", () => call(`/api/jobs/${job.id}/cancel`, { method: "POST" }))];
    }
    const remove = button("Delete", async () => {
      await call(`/api/jobs/${job.id}`, { method: "DELETE" });
      this.element.remove();
      if (location.hash === `#${job.id}`) location.hash = "";
    });
    return job.state === "done" ? [button("Open", async () => open(job.id)), remove] : [remove];
  }
}

/* The result of a job, in the viewer. The address names it, so that it survives a reload. */

let viewer = null;
let shownJob = ""; // its id
let shows = 0; // counts them, so that of two at once the later one wins

function open(id) {
  if (location.hash === `#${id}`) show(id); else location.hash = id;
}

async function show(id) {
  if (viewer?.hasUnsaved && !confirm("Corrections are not saved. Go on without them?")) {
    history.replaceState(null, "", `#${shownJob}`);
    return;
  }
  const mine = ++shows;
  shownJob = id;
  viewer?.close();
  viewer = null;
  byId("result").hidden = !id;
  for (const line of byId("jobs").children) line.classList.toggle("open", line.dataset.job === id);
  byId("export").hidden = true;
  if (!id) return;
  byId("about").textContent = "Loading …";
  try {
    const job = await call(`/api/jobs/${encodeURIComponent(id)}`);
    const methods = job.methods.filter(name => !(name in job.problems));
    if (job.state !== "done" || !methods.length) {
      throw new Error(`this job has nothing to show: ${job.reason ?? job.state}`);
    }
    const columns = await Promise.all(methods.map(async name => ({ title: name,
      documents: (await call(pathOf(job, "predictions", name))).predictions })));
    const shown = await playable(job.video);
    const { times_s: times } = await call(`/api/videos/${job.video}/times`);
    if (mine !== shows) return;
    byId("about").textContent = [shown.name, ...methods].join(" · ");
    viewer = new Viewer(byId("viewer"), {
      video: columns[0].documents[0].video, src: shown.watch, columns, times,
      save: ({ document: corrected, column, index }) =>
        save(job, methods[column], index, corrected),
    });
    offerExport(job, shown, methods);
    viewer.controls.play.focus({ preventScroll: true }); // not on "Find": Space shall play
    byId("result").scrollIntoView();
  } catch (error) {
    if (mine !== shows) return;
    byId("about").textContent = error.message;
    byId("viewer").replaceChildren();
  }
}

const pathOf = (job, part, method) =>
  `/api/jobs/${job.id}/${part}?method=${encodeURIComponent(method)}`;

/** The video once the browser can play it: as it is, or as a preview that the service makes.

    One that failed before is made once more. */
async function playable(id) {
  for (let isNew = false;;) {
    const found = await call(`/api/videos/${id}`);
    if (found.watch) return found;
    const jobs = await call(`/api/jobs?video=${id}&limit=1000`);
    const making = jobs.find(({ kind }) => kind === "preview");
    if (making && making.state !== "done" && ENDED.includes(making.state)) {
      if (isNew) throw new Error(`there is no preview to play: ${making.reason ?? making.state}`);
      await send(`/api/videos/${id}/preview`, {});
      isNew = true;
    }
    byId("about").textContent = `${found.name}: making a preview that the browser can play …`;
    await wait(LOOK_AGAIN_MS);
  }
}

async function save(job, method, index, corrected) {
  const { version } = await send(pathOf(job, `predictions/${index}/versions`, method), corrected);
  return `saved as version ${version}`;
}

/* Files to take along: what annotation tools read, and the film. */

const FILM = "film";

/** Offer what the service can make of the result that is shown. */
function offerExport(job, shown, methods) {
  byId("export").hidden = false;
  byId("whose").replaceChildren(...methods.map(name => new Option(name, name)));
  byId("whose").parentElement.hidden = methods.length === 1;
  byId("export").onsubmit = event => {
    event.preventDefault();
    exportFile(job, shown.name, byId("whose").value, byId("format").value);
  };
}

function showFormats(formats) {
  byId("format").replaceChildren(
    ...formats.map(({ name, title }) => new Option(title, name)), new Option("film (MP4)", FILM));
}

async function exportFile(job, video, method, format) {
  const button = byId("export").querySelector("button"), target = viewer;
  button.disabled = true;
  try {
    if (format === FILM) {
      target.say(`drawing the film of ${method} …`);
      await drawFilm(job, method);
    }
    const answer = await reach(format === FILM ? pathOf(job, "overlay", method)
      : `${pathOf(job, "export", method)}&to=${encodeURIComponent(format)}`);
    const name = nameOf(answer) ?? `${stemOf(video)}.${method}.mp4`;
    saveAs(await answer.blob(), name);
    const left = target.hasUnsaved ? "; corrections that are not saved are not in it" : "";
    target.say(`exported as ${safe(name)}${left}`);
  } catch (error) {
    target.say(`not exported: ${error.message}`);
  }
  button.disabled = false;
}

/** What the service calls a file, or null. */
function nameOf(answer) {
  const named = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("content-disposition"))?.[1];
  return named ? decodeURIComponent(named) : null;
}

/** Have the film of a method's answers drawn, and wait for it. */
async function drawFilm(job, method) {
  let drawing = await send(pathOf(job, "overlay", method), {});
  while (!ENDED.includes(drawing.state)) {
    await wait(LOOK_AGAIN_MS);
    drawing = await call(`/api/jobs/${drawing.id}`);
  }
  if (drawing.state !== "done") throw new Error(drawing.reason ?? drawing.state);
}

async function begin() {
  try {
    showAbout(await call("/api"));
    const jobs = await call(`/api/jobs?limit=${MOST_JOBS}`);
    byId("jobs").replaceChildren(...jobs.filter(({ kind }) => kind === "ground")
      .map(job => new JobLine(job, false).element));
    byId("sign-in").hidden = true;
    byId("work").hidden = false;
    await show(location.hash.slice(1));
  } catch (error) {
    if (byId("sign-in").hidden) {
      byId("work").hidden = false;
      say(error.message);
    }
  }
}

byId("settings").append(themeSwitch());
addEventListener("hashchange", () => show(location.hash.slice(1)));
addEventListener("beforeunload", event => { if (viewer?.hasUnsaved) event.preventDefault(); });
begin();
