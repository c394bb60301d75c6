/** What somebody without a session can do, and how a session goes on and ends. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import { type FakeServer, problem } from '../../dev/fake-server.ts';
import { center } from '../center.ts';
import { fill, type Mounted, mount, saved, saves } from './mount.ts';

const NEWS_SMS = 'topics.choices.news.sms';
const ADDRESS = '.email';
const without = (...keys: string[]) => ({
  ...center,
  labels: Object.fromEntries(Object.entries(center.labels).filter(([key]) => !keys.includes(key))),
});
const asked = ({ server }: Mounted) => server.sent('POST', 'access-links/').map(({ body }) => body);

describe.each(['closed', 'expired'])('a page that is %s', (phase) => {
  const refuseCodes = (server: FakeServer) => {
    server.override = ({ path, body }) => (path === 'sessions/' && body.code ? problem(401) : null);
  };
  const open = (document?: object) =>
    mount({ document, ...(phase === 'closed' ? { code: null } : { change: refuseCodes }) });

  test('sends a link to the address that is typed, and keeps the focus where it is', async () => {
    const mounted = await open();
    await page.getByRole('textbox', { name: 'Your e-mail address (required)' }).fill('a@example.org');
    const button = mounted.one('#notice [type=submit]');
    await userEvent.click(button);
    await expect.poll(mounted.status).toBe('A mail with a link is on its way.');
    expect(asked(mounted)).toEqual([{ email: 'a@example.org' }]);
    expect(mounted.server.sent('POST', 'access-links/')[0]?.headers.get('Authorization')).toBeNull();
    expect(mounted.root.activeElement).toBe(button);
    expect(mounted.states()).toEqual(phase === 'expired' ? ['expired'] : []);
  });

  test('does so by the Enter key, too', async () => {
    const mounted = await open();
    mounted.field(ADDRESS).focus();
    await userEvent.keyboard('a@example.org{Enter}');
    await expect.poll(() => asked(mounted)).toEqual([{ email: 'a@example.org' }]);
  });

  test('says at the field why it is refused', async () => {
    const mounted = await open();
    mounted.server.override = ({ path }) =>
      path === 'access-links/' ? problem(422, { errors: { '': { email: ['Type your address.'] } } }) : null;
    mounted.one('#notice [type=submit]').click();
    const field = page.getByRole('textbox', { name: 'Your e-mail address (required)' });
    await expect.element(field).toHaveAccessibleDescription('Type your address.');
    expect(mounted.field(ADDRESS).getAttribute('aria-invalid')).toBe('true');
    expect(mounted.root.activeElement?.id).toBe('summary');
    await page.getByRole('link', { name: 'Your e-mail address: Type your address.' }).click();
    expect(mounted.root.activeElement).toBe(mounted.field(ADDRESS));
  });

  test('says it when that was too often, and keeps what was typed', async () => {
    const mounted = await open();
    mounted.server.override = ({ path }) => (path === 'access-links/' ? problem(429) : null);
    fill(mounted.field(ADDRESS), 'a@example.org');
    mounted.one('#notice [type=submit]').click();
    await expect.poll(() => mounted.root.activeElement?.textContent).toContain('Too many tries.');
    expect(mounted.field(ADDRESS).value).toBe('a@example.org');
  });

  test('asks for no address where the center sends no links', async () => {
    const { field, root } = await open(without('request_link', 'sign_up'));
    expect(field(ADDRESS)).toBeNull();
    expect(root.querySelector('#notice button')).toBeNull();
  });
});

describe('signing up', () => {
  async function signingUp(document?: object): Promise<Mounted> {
    const mounted = await mount({ code: null, document });
    const button = mounted.one('#notice [type=button]');
    button.focus();
    await userEvent.click(button);
    return mounted;
  }
  const signUps = ({ server }: Mounted) => server.sent('POST', 'signups/');

  test('opens the blocks, without those that are about somebody who is known', async () => {
    const { field, all, root } = await signingUp();
    expect(field(NEWS_SMS).disabled).toBe(false);
    expect(all('input:checked')).toEqual([]);
    expect(root.getElementById('topics.heading')).not.toBeNull();
    for (const id of ['pause', 'leave', 'history']) expect(root.getElementById(`${id}.heading`), id).toBeNull();
    expect(all('section button')).toEqual([]);
    expect(root.querySelector('#notice')).toBeNull();
    expect(root.activeElement).toBe(root.querySelector('section input'));
  });

  test('sends address and answers, says what comes next, and shows nothing of it any more', async () => {
    const mounted = await signingUp();
    mounted.field(NEWS_SMS).click();
    fill(mounted.field(ADDRESS), 'new@example.org');
    expect(mounted.states()).toEqual(['dirty']);
    mounted.save();
    await expect.poll(mounted.status).toBe('A mail is on its way. Open the link in it.');
    const [sent] = signUps(mounted);
    expect(sent?.body).toEqual({
      email: 'new@example.org',
      revision: center.revision,
      answers: { topics: { choices: { news: { sms: true } } } },
    });
    expect(sent?.headers.get('Idempotency-Key')).toMatch(/^[\w-]{8,}$/);
    expect(sent?.headers.get('Authorization')).toBeNull();
    expect(mounted.field(NEWS_SMS)).toMatchObject({ disabled: true, checked: false });
    expect(mounted.root.getElementById('leave.heading')).not.toBeNull();
    expect(mounted.element.dirty).toBe(false);
    expect(mounted.root.activeElement?.id).toBe('notice');
    expect(saves(mounted)).toEqual([]);
  });

  test('keeps everything when it is refused, and says where', async () => {
    const mounted = await signingUp();
    mounted.field(NEWS_SMS).click();
    mounted.save();
    const field = page.getByRole('textbox', { name: 'Your e-mail address (required)' });
    await expect.element(field).toHaveAccessibleDescription('Type your e-mail address.');
    expect(mounted.field(NEWS_SMS)).toMatchObject({ disabled: false, checked: true });
    fill(mounted.field(ADDRESS), 'new@example.org');
    mounted.save();
    await expect.poll(mounted.status).toContain('A mail is on its way.');
  });

  test('is tried again with the same key when the network is back', async () => {
    const mounted = await signingUp();
    mounted.field(NEWS_SMS).click();
    fill(mounted.field(ADDRESS), 'new@example.org');
    mounted.server.override = ({ path }) => (path === 'signups/' ? new TypeError('no network') : null);
    mounted.save();
    await expect.poll(mounted.states).toContain('offline');
    mounted.server.override = null;
    dispatchEvent(new Event('online'));
    await expect.poll(mounted.status).toContain('A mail is on its way.');
    const keys = signUps(mounted).map(({ headers }) => headers.get('Idempotency-Key'));
    expect(keys).toHaveLength(2);
    expect(new Set(keys).size).toBe(1);
  });

  test('can be thought better of', async () => {
    const mounted = await signingUp();
    mounted.field(NEWS_SMS).click();
    await page.getByRole('button', { name: 'Discard' }).click();
    expect(mounted.field(NEWS_SMS)).toMatchObject({ disabled: true, checked: false });
    await expect.element(page.getByRole('button', { name: 'Sign up' })).toBeVisible();
    expect(signUps(mounted)).toEqual([]);
  });

  test('is not offered where the center has none, nor to whom a link has expired', async () => {
    await mount({ code: null, document: without('sign_up') });
    expect(page.getByRole('button', { name: 'Sign up' }).query()).toBeNull();
    document.body.replaceChildren();
    await mount({
      change: (server) => {
        server.override = ({ path }) => (path === 'sessions/' ? problem(401) : null);
      },
    });
    expect(page.getByRole('button', { name: 'Sign up' }).query()).toBeNull();
  });
});

describe('a session', () => {
  const renewals = ({ server }: Mounted) => server.sent('POST', 'sessions/').filter(({ body }) => !body.code);
  const minutes = (count: number) => vi.advanceTimersByTimeAsync(count * 60_000);

  beforeEach(() => vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] }));
  afterEach(() => vi.useRealTimers());

  test('is carried on in its last minutes while somebody uses the page', async () => {
    const mounted = await mount();
    mounted.field(NEWS_SMS).click();
    await minutes(24);
    expect(renewals(mounted)).toEqual([]);
    await minutes(2);
    expect(renewals(mounted)).toHaveLength(1);
    expect(renewals(mounted)[0]?.headers.get('Authorization')).toBe('Bearer session-1');
    expect(mounted.field(NEWS_SMS).checked).toBe(true);
    mounted.save();
    await saved(mounted);
    expect(mounted.server.sent('PATCH', 'preferences/')[0]?.headers.get('Authorization')).toBe('Bearer session-2');
    await minutes(20);
    expect(renewals(mounted)).toHaveLength(1);
  });

  test('ends where nobody does: said before, and locked then', async () => {
    const mounted = await mount();
    await minutes(27);
    expect(mounted.status()).toBe('');
    await minutes(1.5);
    expect(mounted.status()).toBe(center.labels.ends_soon);
    mounted.server.sessions.clear();
    await minutes(2);
    expect(renewals(mounted)).toEqual([]);
    expect(mounted.states()).toEqual(['expired']);
    expect(mounted.field(NEWS_SMS).disabled).toBe(true);
    expect(mounted.status()).toBe('');
  });

  test('that is used after the warning goes on, and the warning is gone', async () => {
    const mounted = await mount();
    await minutes(28.5);
    mounted.field(NEWS_SMS).click();
    await minutes(0.5);
    expect(renewals(mounted)).toHaveLength(1);
    expect(mounted.status()).toBe('You have unsaved changes.');
  });

  test('that can be carried on no more says so, and keeps what was edited when it locks', async () => {
    const mounted = await mount({
      change: (server) => {
        server.lastEnd = Date.now() + 40 * 60_000;
      },
    });
    mounted.field(NEWS_SMS).click();
    mounted.field(NEWS_SMS).focus();
    await minutes(26);
    for (let minute = 26; minute < 38; minute++) {
      mounted.field('topics.choices.news.email').click();
      await minutes(1);
    }
    // One that brought ten minutes, and one that brought none.
    expect(renewals(mounted)).toHaveLength(2);
    await minutes(0.5);
    expect(mounted.status()).toBe(center.labels.ends_soon);
    mounted.server.sessions.clear();
    await minutes(2);
    expect(mounted.states()).toEqual(['dirty', 'expired']);
    expect(mounted.field(NEWS_SMS)).toMatchObject({ disabled: true, checked: true });
    expect(mounted.root.activeElement?.id).toBe('notice');
  });

  test('is not lost over a clock that is wrong', async () => {
    const mounted = await mount({
      change: (server) => {
        server.life = -60 * 60_000;
      },
    });
    await minutes(5);
    expect(mounted.server.sent('GET', 'preferences/')).toHaveLength(1);
    expect(mounted.states()).toEqual([]);
    expect(mounted.field(NEWS_SMS).disabled).toBe(false);
  });

  test('is asked for again a minute later when there was no answer', async () => {
    const mounted = await mount();
    mounted.field(NEWS_SMS).click();
    mounted.server.override = ({ path }) => (path === 'sessions/' ? new TypeError('no network') : null);
    await minutes(26.5);
    expect(renewals(mounted)).toHaveLength(2);
    expect(mounted.states()).toEqual(['dirty']);
    mounted.server.override = null;
    await minutes(1);
    expect(renewals(mounted)).toHaveLength(3);
    await minutes(10);
    expect(mounted.states()).toEqual(['dirty']);
  });
});
