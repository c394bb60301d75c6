import { afterEach, expect, test } from 'vitest';
import { page } from 'vitest/browser';

afterEach(() => document.body.replaceChildren());

const count = async (): Promise<number> => (await (await fetch('/strict/saves')).json()).saves;

/** Tells the frame to do something; resolves when it is done. */
function tell(frame: HTMLIFrameElement, word: string): Promise<unknown> {
  const done = new Promise((resolve) => addEventListener('message', resolve, { once: true }));
  frame.contentWindow?.postMessage(word, '*');
  return done;
}

// EB-14: a page that has us in a frame of another origin may lay it under something else.
test('in a frame of another origin only real presses count, and none just after it came into sight', async () => {
  const frame = document.createElement('iframe');
  frame.setAttribute('sandbox', 'allow-scripts');
  frame.style.cssText = 'width: 800px; height: 3000px';
  frame.src = `/strict/framed#pc=${Math.random()}`;
  document.body.append(frame);
  await new Promise((resolve) => frame.addEventListener('load', resolve, { once: true }));
  const inside = page.frameLocator(page.elementLocator(frame));
  const leave = inside.getByRole('button', { name: 'Unsubscribe from everything' });
  const before = await count();
  await leave.click(); // it has only just been shown
  await tell(frame, 'later');
  await tell(frame, 'press'); // by a script
  await leave.click();
  await expect.poll(count).toBeGreaterThan(before);
  expect(await count()).toBe(before + 1);
});
