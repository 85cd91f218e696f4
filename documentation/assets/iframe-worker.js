// A page that is opened as a file may start no worker, and search is one. Here it runs in a frame of the page, which
// says `postMessage` and hears `message` as a worker does.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.title = "search";
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.postMessage = (data) => this.tell(this, this, data);
      const script = inside.document.createElement("script");
      script.src = new URL(url, location.href).href;
      script.onload = () => {
        this.ready = true;
        this.waiting.splice(0).forEach((data) => this.postMessage(data));
      };
      inside.document.body.append(script);
    }
    postMessage(data) {
      if (this.ready) this.tell(this.frame.contentWindow, this.frame.contentWindow, data);
      else this.waiting.push(data);
    }
    tell(to, heard, data) {
      const event = new MessageEvent("message", { data });
      setTimeout(() => {
        to.dispatchEvent(event);
        if (heard === this && this.onmessage) this.onmessage(event);
      });
    }
    terminate() {
      this.frame.remove();
    }
  };
}
