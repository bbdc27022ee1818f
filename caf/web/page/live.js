// What the daemon does at this moment, and how the newest jobs went. It only asks; nothing is changed from here.

const EVERY_MS = 1000;
const PATIENCE_MS = 10000;
/** How often an open job is told again while it stands where it stood: a render on a server adds an event a frame. */
const RARELY_MS = 10000;
const TOKEN = "caf-token";
const place = (id) => document.getElementById(id);
/** Pictures by job: kept between looks, so that they do not flicker. */
const pictures = new Map();
/** What is shown of each job, kept between looks, so that what was opened stays open. */
const opened = new Map();

class Refused extends Error {}

async function ask(path) {
  const token = sessionStorage.getItem(TOKEN);
  // A header takes no other letter: fetch would fail as if the daemon were gone.
  if (token && !/^[\x21-\x7e]+$/.test(token)) throw new Refused();
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers, signal: AbortSignal.timeout(PATIENCE_MS) });
  if (answer.status === 401) throw new Refused();
  return answer;
}

async function told(path) {
  const answer = await ask(path);
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${said.error.message} ${said.error.remedy}`);
  return said;
}

function made(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** 75 → "1 min 15 s". */
function span(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

function card(turn) {
  const box = made("article", "", "card");
  const stage = turn.gate ? `QC of ${turn.stage}` : turn.stage;
  box.append(made("h3", turn.job_id), made("p", `${stage}, for ${span(turn.for_s)}`, "quiet"));
  if (turn.done !== null) {
    const known = turn.total !== null && turn.total > 0;
    const bar = made("progress");
    if (known) [bar.max, bar.value] = [turn.total, Math.min(turn.done, turn.total)];
    box.append(made("p", `${turn.doing}: ${turn.done}${known ? ` of ${turn.total}` : ""}`), bar);
  }
  const picture = turn.preview ? pictures.get(turn.job_id) : undefined;
  if (picture) box.append(picture.image);
  return box;
}

function lane(given) {
  const box = made("section");
  box.append(made("h2", `${given.name} (${given.running.length} of ${given.capacity})`));
  const cards = made("div", "", "cards");
  cards.append(...given.running.map(card));
  box.append(given.running.length ? cards : made("p", "Free.", "quiet"));
  return box;
}

/** A job's name, which opens how it went. */
function linked(job) {
  const link = made("a", job);
  link.href = `#${job}`;
  return link;
}

function question(asked) {
  const box = made("article", "", "card asks");
  const name = made("h3");
  name.append(linked(asked.job_id));
  box.append(name, made("p", `${asked.stage}: ${asked.reason}`), made("p", asked.detail, "quiet"));
  box.append(made("p", `caf answer ${asked.job_id} proceed | retry | abort`, "quiet"));
  return box;
}

function titled(title, parts) {
  return parts.length ? [made("h2", title), ...parts] : [];
}

function reason([job, why]) {
  const line = made("p", `: ${why}`);
  line.prepend(made("code", job));
  return line;
}

function queued(status) {
  const waiting = Object.entries(status.waiting).map(reason);
  const held = Object.entries(status.held).map(reason);
  const line = made("ol");
  line.append(...status.queue.map((job) => made("li", job)));
  return [
    ...titled("Under way, and waiting", waiting),
    ...titled("Next in line", status.queue.length ? [line] : []),
    ...titled("Held back", held),
  ];
}

/** Keeps the newest picture of each job that has one, as an image whose bytes stay in this page. */
async function lookAtPictures(status) {
  const turns = status.lanes.flatMap((given) => given.running).filter((turn) => turn.preview);
  for (const [job, picture] of pictures) {
    if (turns.some((turn) => turn.job_id === job)) continue;
    URL.revokeObjectURL(picture.image.src);
    pictures.delete(job);
  }
  await Promise.all(turns.map(async ({ job_id: job, preview }) => {
    const known = pictures.get(job);
    if (known?.number === preview) return;
    const answer = await ask(`/api/v1/jobs/${job}/preview`);
    if (!answer.ok) return;
    const image = known?.image ?? made("img");
    const before = image.src;
    image.alt = `What is being made of ${job}`;
    image.src = URL.createObjectURL(await answer.blob());
    if (before) URL.revokeObjectURL(before);
    pictures.set(job, { image, number: preview });
  }));
}

/** One gate as a row: how it went, what was measured against what, and why; of one that failed the frames. */
function gate(judged, measured) {
  const row = made("tr", "", judged.status === "PASS" ? "" : "fail");
  const score = judged.score === null ? "--" : judged.score.toFixed(2);
  const frames = judged.status === "PASS" ? [] : measured?.worst_frames ?? [];
  const seen = frames.length ? `${judged.reason} Frames ${frames.join(", ")}.` : judged.reason;
  const cells = [judged.status, judged.metric, score, `needs ${judged.threshold}`, seen];
  row.append(...cells.map((text, place) => made("td", text, !place && judged.status === "PASS" ? "pass" : "")));
  return row;
}

function attempt(made_of) {
  const times = Object.values(made_of.stages).map((stage) => `${stage.stage} ${stage.reused || stage.attempt_id !== made_of.id ? "reused" : `${(stage.duration_ms / 1000).toFixed(1)} s`}`);
  const table = made("table");
  for (const { report, measurements } of made_of.gates) {
    table.append(...report.gates.map((one) => gate(one, measurements.find((seen) => seen.metric === one.metric))));
  }
  const box = made("div", "", "scroll");
  box.append(table);
  const said = made_of.decisions.filter(({ decision }) => decision.action !== "PROCEED");
  return [
    made("h4", `${made_of.id} from ${made_of.from_stage}`),
    made("p", times.join(", "), "quiet"),
    box,
    ...(made_of.failure ? [made("p", `${made_of.failed_stage} failed: ${made_of.failure.message} ${made_of.failure.remedy}`, "fail")] : []),
    ...said.map(({ stage, decision }) => made("p", `${decision.action} after ${stage}: ${decision.reasoning}`)),
  ];
}

/** How a job went, attempt by attempt, and where its clip is. */
function story({ state }) {
  const parts = state.attempts.flatMap(attempt);
  if (state.escalation) parts.push(made("p", `To correct: ${state.escalation.request.required_artifact}. For example: ${state.escalation.request.example_fix}`));
  if (state.failure) parts.push(made("p", `Given up: ${state.failure.message} ${state.failure.remedy}`, "fail"));
  if (state.final_sha256) {
    const link = made("a", "final.mp4");
    link.href = `/api/v1/jobs/${state.submitted.job_id}/artifacts/${state.final_sha256}`;
    // A link carries no token: where one is asked for, the place on the disk is what can be said.
    const where = made("p");
    where.append(sessionStorage.getItem(TOKEN) ? `sandbox/output/${state.submitted.job_id}/final.mp4` : link);
    parts.push(where);
  }
  return parts;
}

/** The job that the address names (`/#JOB`), however old it is, before the newest ones. */
async function withNamed(jobs) {
  const name = (globalThis.location?.hash ?? "").slice(1);
  if (!/^[a-z0-9-]+$/.test(name) || jobs.some((job) => job.job_id === name)) return jobs;
  const answer = await ask(`/api/v1/jobs?job_id=${name}`);
  return answer.ok ? [...(await answer.json()).jobs, ...jobs] : jobs;
}

function row(job) {
  let shown = opened.get(job.job_id);
  if (!shown) {
    shown = { box: made("details"), line: made("summary"), body: made("div"), version: 0 };
    shown.box.append(shown.line, shown.body);
    shown.box.open = globalThis.location?.hash === `#${job.job_id}`;
    opened.set(job.job_id, shown);
  }
  const why = job.reason ? `: ${job.reason}` : "";
  const when = new Date(job.submitted_at).toLocaleString();
  const said = ` ${job.status} at ${job.stage ?? "the start"}, ${job.attempts === 1 ? "1 attempt" : `${job.attempts} attempts`}, submitted ${when}${why}`;
  if (shown.said !== said) shown.line.replaceChildren(made("code", job.job_id), made("span", said, "quiet"));
  shown.said = said;
  return shown.box;
}

/** Lists the newest jobs; what is open is told again when it went on. */
async function lookAtJobs(jobs) {
  for (const job of opened.keys()) if (!jobs.some((one) => one.job_id === job)) opened.delete(job);
  const rows = jobs.map(row);
  const before = [...place("jobs").children].slice(1);
  if (rows.length !== before.length || rows.some((one, at) => one !== before[at])) place("jobs").replaceChildren(...titled("Newest jobs", rows));
  await Promise.all(jobs.map(async (job) => {
    const shown = opened.get(job.job_id);
    if (!shown.box.open || shown.version === job.version) return;
    const { said } = shown;
    if (shown.told === said && Date.now() - shown.at < RARELY_MS) return;
    try {
      shown.body.replaceChildren(...story(await told(`/api/v1/jobs/${job.job_id}?prompts=none`)));
      [shown.version, shown.told, shown.at] = [job.version, said, Date.now()];
    } catch (fault) {
      if (fault instanceof Refused) throw fault;
      shown.body.replaceChildren(made("p", `It cannot be told now (${fault.message}); asking again.`));
    }
  }));
}

function daemon(status) {
  const over = Object.entries(status.jobs).map(([name, count]) => `${count} ${name}`).join(", ");
  const paused = status.paused ? ` by ${status.paused.by}${status.paused.reason && `: ${status.paused.reason}`}` : "";
  return `${status.state}${paused} on ${status.host}, for ${span(status.uptime_s)}; ${over || "no jobs yet"}`;
}

async function look() {
  const [status, open, newest] = await Promise.all([
    told("/api/v1/status"), told("/api/v1/escalations"), told("/api/v1/jobs?limit=20"),
  ]);
  await lookAtPictures(status);
  place("unlock").hidden = true;
  place("shown").hidden = false;
  place("daemon").textContent = daemon(status);
  const questions = made("div", "", "cards");
  questions.append(...open.escalations.map(question));
  place("escalations").replaceChildren(...titled("Waiting for a person", open.escalations.length ? [questions] : []));
  place("lanes").replaceChildren(...status.lanes.map(lane));
  place("queue").replaceChildren(...queued(status));
  await lookAtJobs(await withNamed(newest.jobs));
}

/** Nothing more is asked until somebody gives the token. */
function locked() {
  place("refused").textContent = sessionStorage.getItem(TOKEN) ? "That is not its token." : "";
  place("unlock").hidden = false;
  place("shown").hidden = true;
  place("daemon").textContent = "";
}

async function keepLooking() {
  try {
    if (!document.hidden && place("unlock").hidden) await look();
  } catch (fault) {
    if (fault instanceof Refused) locked();
    else place("daemon").textContent = `The daemon does not answer (${fault.message}); asking again. Below is what it last said.`;
  }
  setTimeout(keepLooking, EVERY_MS);
}

place("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, place("token").value);
  place("unlock").hidden = true;
  place("token").value = "";
});

globalThis.addEventListener?.("hashchange", () => {
  const shown = opened.get(location.hash.slice(1));
  if (!shown) return;
  shown.box.open = true;
  shown.box.scrollIntoView();
});

keepLooking();
