/**
 * Tells the page around this one how high it is, so that its frame can follow (docs/how-to/embed/iframe.md). The server
 * has put down to which origin: the browser gives the message to no other, and there is nothing of a person in it.
 */
const { host } = document.body.querySelector('[data-host]').dataset;
const all = document.createRange();
all.selectNodeContents(document.body); // the body itself is as high as the frame, at least

const observer = new ResizeObserver(() => {
  const height = Math.ceil(all.getBoundingClientRect().bottom + scrollY);
  parent.postMessage({ type: 'preference-center:height', height }, host);
});
for (const part of document.body.children) observer.observe(part);
