import { afterEach, describe, expect, test } from 'vitest';
import type { PreferenceCenterElement } from '../../src/define.ts';

type Page = Window & typeof globalThis;

afterEach(() => document.body.replaceChildren());

async function open(): Promise<{ page: Page; root: ShadowRoot; violations: () => string[] }> {
  const frame = document.createElement('iframe');
  frame.src = `/strict/page#pc=${Math.random()}`;
  document.body.append(frame);
  await new Promise((resolve) => frame.addEventListener('load', resolve, { once: true }));
  const page = frame.contentWindow as Page;
  const found: string[] = [];
  // Buffered: it also tells what was violated before anybody listened.
  const observer = new page.ReportingObserver(
    (reports) => {
      for (const { body } of reports) found.push(JSON.stringify(body));
    },
    { buffered: true, types: ['csp-violation'] },
  );
  observer.observe();
  const element = page.document.querySelector('preference-center') as PreferenceCenterElement;
  await expect.poll(() => element.shadowRoot?.querySelector('[part=save]')).toBeTruthy();
  const violations = () => {
    for (const { body } of observer.takeRecords()) found.push(JSON.stringify(body));
    return found;
  };
  return { page, root: element.shadowRoot as ShadowRoot, violations };
}

describe('on a page that allows our file, its own styles and no Trusted Types policy', () => {
  test('the built script draws, styles, edits and saves without one violation', async () => {
    const { page, root, violations } = await open();
    // What a careless script of the page may have left behind.
    Object.assign(page.Object.prototype, { polluted: 'x', href: 'javascript:alert(1)' });
    expect(page.location.hash).toBe('');
    expect(page.getComputedStyle(root.querySelector('[part=block]') as Element).borderRadius).toBe('12px');
    const box = root.getElementById('topics.choices.news.sms') as HTMLInputElement;
    box.click();
    (root.querySelector('[part=save]') as HTMLElement).click();
    await expect.poll(() => root.querySelector('[role=status]')?.textContent).toContain('Done');
    (root.querySelector('[part~=leave]') as HTMLElement).click();
    await expect.poll(() => root.querySelector('[role=status]')?.textContent).toContain('Done');
    expect(violations()).toEqual([]);
    expect(root.querySelector('[style], style, script')).toBeNull();
  });

  test('and that page is as strict as it says', async () => {
    const { page, violations } = await open();
    expect(() => {
      (page.document.querySelector('preference-center') as Element).innerHTML = '<b>x</b>';
    }).toThrow(/TrustedHTML|Trusted Type/);
    expect(() => page.eval('1')).toThrow();
    await expect.poll(() => violations().length).toBeGreaterThan(0);
  });

  test('and its images hide the natives of its document', async () => {
    const { page } = await open();
    expect(typeof page.document.createElementNS).not.toBe('function');
  });
});
