// Reads the server-sent events. A stream that is silent for too long is treated as lost, even if the browser shows no error.

import { pathOf } from "./api.js";

const SILENT_AFTER = 7000; // an event comes every 2 s
const RETRY_AFTER = 1000;

export class Stream {
  // handlers has a function for each kind of event. onLive is called when the stream starts, onLost when it ends, and
  // onRefused when the server needs a token.
  constructor(handlers, { onLive, onLost, onRefused }) {
    this.handlers = handlers;
    this.onLive = onLive;
    this.onLost = onLost;
    this.onRefused = onRefused;
    this.lastId = "";
    this.isLive = false;
    this.open();
  }

  open() {
    clearTimeout(this.retryTimer);
    this.source?.close();
    const query = this.lastId ? `?last_event_id=${encodeURIComponent(this.lastId)}` : "";
    this.source = new EventSource(pathOf(`events${query}`));
    this.source.onerror = () => this.lost();
    for (const [kind, handle] of Object.entries(this.handlers)) {
      this.source.addEventListener(kind, (event) => {
        if (event.lastEventId) this.lastId = event.lastEventId;
        this.live();
        handle(JSON.parse(event.data));
      });
    }
    this.restartSilenceTimer();
  }

  live() {
    this.restartSilenceTimer();
    if (this.isLive) return;
    this.isLive = true;
    this.onLive();
  }

  async lost() {
    this.source.close();
    this.isLive = false;
    this.onLost();
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => this.retry(), RETRY_AFTER);
  }

  async retry() {
    // An EventSource does not say why it failed. A plain request does.
    const answer = await fetch(pathOf("status"), { method: "HEAD" }).catch(() => null);
    if (answer?.status === 401) this.onRefused();
    else this.open();
  }

  restartSilenceTimer() {
    clearTimeout(this.silenceTimer);
    this.silenceTimer = setTimeout(() => this.lost(), SILENT_AFTER);
  }
}
