// The page: sign in, send a card, watch it being read. Talks to the same API as any other client.

const at = (id) => document.getElementById(id);
const KEEP = "filot.refresh";
let access = null;
let shown = null;
let confirmation = null;

at("trial").hidden = !["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

const words = {
  auto_approved: ["Approved", "good"],
  auto_rejected: ["Rejected", "bad"],
  pending_manual_review: ["A person will look at it", "warn"],
  manually_approved: ["Approved by a person", "good"],
  manually_rejected: ["Rejected by a person", "bad"],
  pending: ["Reading …", ""],
};

function note(text) {
  at("note").textContent = text ?? "";
  at("note").hidden = !text;
}

/** Calls the API; renews the access token once when it has expired. Throws the problem's detail. */
async function call(path, options = {}, again = true) {
  const headers = new Headers(options.headers);
  if (access) headers.set("Authorization", `Bearer ${access}`);
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401 && again && access && (await renew())) return call(path, options, false);
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Error(problem.detail || `The server answered ${response.status}.`);
  }
  return response;
}

const post = (path, body) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }, false);

function enter(signedIn) {
  access = signedIn.accessToken;
  sessionStorage.setItem(KEEP, signedIn.refreshToken);
  at("email").textContent = signedIn.user.email ?? "";
}

let renewing = null;
/** Only one renewal runs at a time: a refresh token works once. */
function renew() {
  renewing ??= (async () => {
    const refreshToken = sessionStorage.getItem(KEEP);
    if (!refreshToken) return false;
    try {
      access = null;
      enter(await (await post("/auth/refresh", { refreshToken })).json());
      return true;
    } catch {
      sessionStorage.removeItem(KEEP);
      show();
      return false;
    }
  })().finally(() => (renewing = null));
  return renewing;
}

function show() {
  const inside = Boolean(access);
  at("door").hidden = inside || Boolean(confirmation);
  at("confirmation").hidden = inside || !confirmation;
  for (const id of ["desk", "who"]) at(id).hidden = !inside;
  if (!inside) for (const id of ["reading", "earlier"]) at(id).hidden = true;
  if (inside) list();
}

/** Sends a form and signs in with the answer; nothing signs in that nobody has typed and sent. */
async function signInWith(form, path, body) {
  note();
  try {
    const answer = await post(path, body);
    const said = await answer.json();
    if (answer.status === 202) return note(said.detail);
    enter(said);
    form.reset();
    show();
  } catch (error) {
    note(error.message);
  }
}

at("sign").addEventListener("submit", (event) => {
  event.preventDefault();
  const { email, password } = event.target.elements;
  const path = `/auth/${event.submitter?.value ?? "login"}`;
  signInWith(event.target, path, { email: email.value, password: password.value });
});

at("trial").addEventListener("submit", (event) => {
  event.preventDefault();
  signInWith(event.target, "/auth/trial", { code: event.target.elements.code.value });
});

at("confirm").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { token: confirmation, password: event.target.elements.password.value };
  await signInWith(event.target, "/auth/confirm", body);
  if (access) confirmation = null;
  show();
});

at("leave").addEventListener("click", async () => {
  await call("/auth/logout", { method: "POST" }).catch(() => {});
  access = null;
  sessionStorage.removeItem(KEEP);
  show();
});

for (const id of ["file", "camera"]) {
  at(id).addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) send(file);
  });
}
const drop = at("drop");
for (const type of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", type === "dragover");
    const [file] = (type === "drop" && event.dataTransfer.files) || [];
    if (file) send(file);
  });
}
// A photo dropped beside the field must not replace the page.
for (const type of ["dragover", "drop"]) addEventListener(type, (event) => event.preventDefault());

async function send(file) {
  note();
  clear();
  picture(file);
  at("reading").hidden = false;
  at("verdict").textContent = "Sending …";
  const form = new FormData();
  form.append("type", new FormData(at("send")).get("type"));
  form.append("file", file);
  try {
    const headers = { "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` };
    const sent = await (await call("/documents/upload", { method: "POST", body: form, headers })).json();
    await watch(sent.documentId);
  } catch (error) {
    at("reading").hidden = true;
    note(error.message);
  }
}

function clear() {
  shown = null;
  at("progress").textContent = "";
  at("boxes").replaceChildren();
  for (const id of ["fields", "checks"]) at(id).hidden = true;
}

function picture(file) {
  const photo = at("photo");
  if (photo.src) URL.revokeObjectURL(photo.src);
  photo.removeAttribute("src");
  at("picture").hidden = !file?.type.startsWith("image/");
  if (!at("picture").hidden) photo.src = URL.createObjectURL(file);
}

/** Follows a document to its end, by server-sent events read with the access token. */
async function watch(id) {
  shown = id;
  for (let tries = 0; shown === id && tries < 20; tries++) {
    const response = await call(`/documents/${id}/events`);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      rest += value;
      const events = rest.split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event.split("\n").find((line) => line.startsWith("data:"));
        if (!data || shown !== id) continue;
        const now = JSON.parse(data.slice(5));
        draw(now);
        if (now.status === "completed" || now.status === "failed") {
          reader.cancel();
          list();
          return;
        }
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

function row(...cells) {
  const tr = document.createElement("tr");
  for (const cell of cells) {
    const td = document.createElement("td");
    if (cell instanceof Node) td.append(cell);
    else td.textContent = cell ?? "";
    tr.append(td);
  }
  return tr;
}

function fill(id, rows) {
  at(id).tBodies[0].replaceChildren(...rows);
  at(id).hidden = rows.length === 0;
}

const plain = (text) => String(text).replace(/([a-z])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();
const sentence = (text) => (typeof text === "string" ? text : text?.en ?? text?.id ?? "");

function draw(now) {
  const failed = now.status === "failed";
  const [text, tone] = failed ? ["It could not be read", "bad"] : words[now.verificationStatus] ?? [now.verificationStatus, ""];
  at("verdict").textContent = now.aiScore === null ? text : `${text}: ${now.aiScore} of 100`;
  at("verdict").className = tone;
  at("progress").textContent = failed
    ? plain(now.error)
    : { pending: "Waits for a reader", processing: "A reader has it" }[now.status] ??
      (now.readingMs === null ? "" : `Read in ${now.readingMs} ms`);
  const result = now.result;
  if (!result) return;
  const boxes = at("boxes");
  boxes.replaceChildren();
  if (result.photo) boxes.setAttribute("viewBox", `0 0 ${result.photo.width} ${result.photo.height}`);
  if (result.frame?.toPhoto) outline(boxes, corners(result.frame), "frame");
  fill(
    "fields",
    Object.entries(result.fields ?? {}).map(([key, field]) => {
      const tr = row(plain(key), field.value, `${Math.round(field.confidence * 100)} %`);
      const points = field.box?.map((point) => (Array.isArray(point) ? point : [point.x, point.y]));
      const polygon = points && outline(boxes, points, "");
      for (const [type, on] of [["mouseenter", true], ["mouseleave", false]]) {
        tr.addEventListener(type, () => polygon?.classList.toggle("at", on));
      }
      return tr;
    }),
  );
  fill("checks", (result.checks ?? []).map((check) => row(plain(check.code ?? "card"), plain(check.outcome) + (sentence(check.customer) ? `: ${sentence(check.customer)}` : ""))));
}

function outline(svg, points, kind) {
  const polygon = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
  polygon.setAttribute("points", points.map((point) => point.join(",")).join(" "));
  if (kind) polygon.setAttribute("class", kind);
  svg.append(polygon);
  return polygon;
}

/** The corners of the card in the photo: a projective map of the page's rectangle. */
function corners({ width, height, toPhoto: m }) {
  return [[0, 0], [width, 0], [width, height], [0, height]].map(([x, y]) => {
    const w = m[6] * x + m[7] * y + m[8];
    return [(m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w];
  });
}

async function list() {
  try {
    const { documents } = await (await call("/documents?limit=10")).json();
    at("earlier").hidden = documents.length === 0;
    fill(
      "list",
      documents.map((entry) => {
        const [text, tone] = entry.status === "failed" ? ["Could not be read", "bad"] : words[entry.verificationStatus] ?? [entry.status, ""];
        const open = document.createElement("button");
        open.type = "button";
        open.textContent = text;
        open.className = tone;
        open.addEventListener("click", () => look(entry.id));
        return row(new Date(entry.createdAt).toLocaleString(), entry.type, open, entry.aiScore ?? "");
      }),
    );
  } catch (error) {
    note(error.message);
  }
}

/** Shows an earlier document; its picture only when it lies on this server. */
async function look(id) {
  note();
  clear();
  picture(null);
  at("reading").hidden = false;
  try {
    const { url } = await (await call(`/documents/${id}/download`)).json();
    const link = new URL(url, location.href);
    if (link.pathname.startsWith("/files/")) {
      const file = await fetch(link.pathname + link.search);
      if (file.ok) picture(await file.blob());
    }
    await watch(id);
  } catch (error) {
    note(error.message);
  }
}

/**
 * A mail's link brings a token that makes an account together with its password, and nothing else: no link signs in or
 * replaces who is signed in.
 */
async function start() {
  const given = new URLSearchParams(location.hash.slice(1)).get("confirm");
  // Tokens do not stay in the address bar or the history.
  if (location.hash) history.replaceState(null, "", location.pathname);
  await renew();
  confirmation = access ? null : given;
  if (access && given) note("You are signed in. Sign out first, then open the link of the mail again.");
  show();
}

addEventListener("hashchange", () => location.reload());
start();
