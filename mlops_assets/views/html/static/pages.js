// Times are written in UTC; a reader sees those of their own zone, and UTC on hover.
function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const moment = new Date(time.dateTime);
    time.textContent = moment.toLocaleString([], {dateStyle: "medium", timeStyle: "short"});
    time.dataset.local = "";
  }
}

addEventListener("DOMContentLoaded", () => showTimes(document));
addEventListener("htmx:after:swap", () => showTimes(document));
