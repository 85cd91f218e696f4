// The theme gives every block of code a `nav` for its button; a screen reader would list each as a place of the page.
new MutationObserver(() => {
  for (const one of document.querySelectorAll("nav.md-code__nav:not([role])")) one.setAttribute("role", "none");
}).observe(document, { childList: true, subtree: true });
