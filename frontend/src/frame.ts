/**
 * Against clickjacking (EB-14): in a frame of a page that is not ours, somebody may be made to press what she does not
 * see. There, buttons take real presses only, and none in the first half second after they came into sight.
 */
const WAIT = 500;

/** Whether a page of another origin has us in a frame. One of our own could do all we can, anyway. */
function isFramed(): boolean {
  try {
    return self !== top && !top?.document;
  } catch {
    return true;
  }
}

export function guardFrame(element: Element, root: ShadowRoot): void {
  if (!isFramed()) return;
  let since = Number.POSITIVE_INFINITY;
  new IntersectionObserver((entries) => {
    // The last entry is how it is now.
    since = entries.at(-1)?.isIntersecting ? performance.now() : Number.POSITIVE_INFINITY;
  }).observe(element);
  const hold = (event: Event) => {
    const pressed = (event.target as Element).closest('button');
    if (!pressed || (event.isTrusted && performance.now() - since > WAIT)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  root.addEventListener('click', hold, { capture: true });
}
