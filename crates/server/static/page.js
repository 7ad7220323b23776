"use strict";
// Shows the tasks. Everything is read over the API that others use too; a token, where one is needed,
// stays in this page's memory.

const rows = document.getElementById("tasks");
const state = document.getElementById("state");
const door = document.getElementById("door");
let token = null;
let after = 0;
let wanted = false;

function headers() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

function cell(row, text, className) {
  const cell = row.insertCell();
  cell.textContent = text;
  if (className) cell.className = className;
  return cell;
}

function link(cell, href, text) {
  const anchor = document.createElement("a");
  anchor.href = href;
  anchor.textContent = text;
  cell.append(anchor, " ");
}

async function show() {
  const answer = await fetch("/api/v1/tasks?limit=100", { headers: headers() });
  if (answer.status === 401) {
    door.hidden = false;
    state.textContent = "a token is needed";
    return false;
  }
  const { tasks } = await answer.json();
  rows.replaceChildren();
  for (const task of tasks) {
    after = Math.max(after, task.sequence);
    const url = `/api/v1/tasks/${encodeURIComponent(task.task_id)}`;
    const row = rows.insertRow();
    cell(row, task.task_id);
    cell(row, task.pause ? `${task.status} (${task.pause})` : task.status, task.status);
    cell(row, task.priority);
    cell(row, `${task.modules_complete}/${task.modules}`);
    cell(row, task.tokens.toLocaleString("en"));
    cell(row, task.prompt);
    const more = cell(row, "");
    for (const part of ["", "/events", "/files", "/context"]) link(more, url + part, part.slice(1) || "state");
  }
  document.getElementById("none").hidden = tasks.length > 0;
  return true;
}

// Many events, few looks: one that is under way covers what comes in meanwhile.
async function showSoon() {
  if (wanted) return;
  wanted = true;
  setTimeout(async () => { wanted = false; await show(); }, 250);
}

async function watch() {
  if (!(await show())) return;
  let query = `after=${after}`;
  if (token) {
    const answer = await fetch("/api/v1/tickets", { method: "POST", headers: headers() });
    query += `&ticket=${(await answer.json()).ticket}`;
  }
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws?${query}`);
  socket.onopen = () => { state.textContent = "live"; door.hidden = true; };
  socket.onmessage = (message) => {
    after = JSON.parse(message.data).sequence;
    showSoon();
  };
  socket.onclose = (event) => {
    state.textContent = event.reason || "connection lost";
    setTimeout(start, 2000);
  };
}

function start() {
  watch().catch(() => {
    state.textContent = "the server does not answer";
    setTimeout(start, 2000);
  });
}

door.addEventListener("submit", (event) => {
  event.preventDefault();
  token = document.getElementById("token").value;
  start();
});
start();
