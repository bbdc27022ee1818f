// What the daemon does at this moment: its lanes, what it renders, what waits. It only asks; nothing is changed from here.

const EVERY_MS = 1000;
const PATIENCE_MS = 10000;
const TOKEN = "caf-token";
const place = (id) => document.getElementById(id);
/** Pictures by job: kept between looks, so that they do not flicker. */
const pictures = new Map();

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

function question(asked) {
  const box = made("article", "", "card asks");
  box.append(made("h3", asked.job_id), made("p", `${asked.stage}: ${asked.reason}`), made("p", asked.detail, "quiet"));
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

function daemon(status) {
  const over = Object.entries(status.jobs).map(([name, count]) => `${count} ${name}`).join(", ");
  const paused = status.paused ? ` by ${status.paused.by}${status.paused.reason && `: ${status.paused.reason}`}` : "";
  return `${status.state}${paused} on ${status.host}, for ${span(status.uptime_s)}; ${over || "no jobs yet"}`;
}

async function look() {
  const [status, open] = await Promise.all([told("/api/v1/status"), told("/api/v1/escalations")]);
  await lookAtPictures(status);
  place("unlock").hidden = true;
  place("shown").hidden = false;
  place("daemon").textContent = daemon(status);
  const questions = made("div", "", "cards");
  questions.append(...open.escalations.map(question));
  place("escalations").replaceChildren(...titled("Waiting for a person", open.escalations.length ? [questions] : []));
  place("lanes").replaceChildren(...status.lanes.map(lane));
  place("queue").replaceChildren(...queued(status));
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

keepLooking();
