// The events of ibkr serve. A stream that is silent for too long is lost, whatever the browser thinks of it.

const SILENT_AFTER = 7000; // something comes every 2 s
const AGAIN_AFTER = 1000;

export class Stream {
  // handlers: one for each kind of event; onLive(), onLost() when that changes; onRefused() when it is not to be had.
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
    clearTimeout(this.again);
    this.source?.close();
    const query = this.lastId ? `?last_event_id=${encodeURIComponent(this.lastId)}` : "";
    this.source = new EventSource(`/api/events${query}`);
    this.source.onerror = () => this.lost();
    for (const [kind, handle] of Object.entries(this.handlers)) {
      this.source.addEventListener(kind, (event) => {
        if (event.lastEventId) this.lastId = event.lastEventId;
        this.live();
        handle(JSON.parse(event.data));
      });
    }
    this.watch();
  }

  live() {
    this.watch();
    if (this.isLive) return;
    this.isLive = true;
    this.onLive();
  }

  async lost() {
    this.source.close();
    this.isLive = false;
    this.onLost();
    clearTimeout(this.again);
    this.again = setTimeout(() => this.retry(), AGAIN_AFTER);
  }

  async retry() {
    // An EventSource does not say why it failed; a plain request does.
    const answer = await fetch("/api/status").catch(() => null);
    if (answer?.status === 401) this.onRefused();
    else this.open();
  }

  watch() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.lost(), SILENT_AFTER);
  }
}
