import { describe, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import { problem } from '../../dev/fake-server.ts';
import { PreferenceCenterElement } from '../../src/define.ts';
import { centerInArabic, newServer } from '../center.ts';
import { around, fill, mount, saved, saves } from './mount.ts';

const NEWS_SMS = 'topics.choices.news.sms';

function refuse(): never {
  throw new DOMException('', 'SyntaxError');
}

function heard(element: EventTarget): [string, unknown][] {
  const events: [string, unknown][] = [];
  for (const name of ['loaded', 'saved', 'failed'])
    element.addEventListener(`preference-center-${name}`, (event) => {
      expect([event.bubbles, event.composed]).toEqual([true, true]);
      events.push([name, (event as CustomEvent).detail]);
    });
  return events;
}

describe('before the center is there', () => {
  test('the children of the page show, and the status line is already there', async () => {
    const { root, one } = await mount({ until: null, code: null });
    expect(root.querySelector('slot')).not.toBeNull();
    expect(one('[role=status]').textContent).toBe('');
    const status = one('[role=status]');
    await expect.poll(() => root.querySelector('form')).not.toBeNull();
    expect(one('[role=status]')).toBe(status);
  });

  test('and they stay when the center never comes', async () => {
    const { root } = await mount({
      until: 'preference-center-failed',
      change: (server) => {
        server.override = () => problem(404);
      },
    });
    expect(root.querySelector('slot')).not.toBeNull();
    await expect.element(page.getByRole('link', { name: 'Manage your preferences' })).toBeVisible();
  });

  test('a form that the server drew stays until there is something better', async () => {
    const host = document.createElement('div');
    const server = newServer();
    const uninstall = server.install();
    host.setHTMLUnsafe(
      `<preference-center src="${server.src}"><template shadowrootmode="open"><p>From the server</p></template></preference-center>`,
    );
    document.body.append(host);
    const element = host.firstElementChild as PreferenceCenterElement;
    expect(element.shadowRoot?.textContent).toBe('From the server');
    await expect.poll(() => element.shadowRoot?.querySelector('form')).not.toBeNull();
    expect(element.shadowRoot?.textContent).not.toContain('From the server');
    uninstall();
  });

  test('it is asked for once, whatever attributes the page was written with', async () => {
    const server = newServer();
    const uninstall = server.install();
    document.body.innerHTML = `<preference-center src="${server.src}" locale="en" theme="light"></preference-center>`;
    const element = document.body.firstElementChild as PreferenceCenterElement;
    await expect.poll(() => element.shadowRoot?.querySelector('form')).not.toBeNull();
    expect(server.requests.filter(({ path }) => path === '')).toHaveLength(1);
    uninstall();
  });

  test('nothing is asked for without an address', async () => {
    const { server, element } = await mount({ attributes: { src: '' }, until: null });
    expect(server.requests).toHaveLength(0);
    element.src = server.src;
    await expect.poll(() => server.requests.length).toBeGreaterThan(0);
  });
});

describe('the code in the address', () => {
  test('opens the center and is gone from the address', async () => {
    const { server, one, field } = await mount();
    expect(location.hash).toBe('');
    expect(server.sent('POST', 'sessions/')).toHaveLength(1);
    expect(field(NEWS_SMS).disabled).toBe(false);
    expect(one('header p').textContent).toBe('These are the choices of a***@e***.org.');
  });

  test('serves two elements of one page', async () => {
    const first = await mount({ until: null });
    const second = document.createElement('preference-center');
    second.src = first.server.src;
    document.body.append(second);
    const two = around(second, first.server);
    await expect.poll(() => first.field(NEWS_SMS)?.disabled).toBe(false);
    await expect.poll(() => two.field(NEWS_SMS)?.disabled).toBe(false);
    expect(first.server.sent('POST', 'sessions/')).toHaveLength(1);
  });

  test('is asked for again when the session has ended, and what was edited is still to be seen', async () => {
    const mounted = await mount();
    mounted.field(NEWS_SMS).click();
    mounted.server.sessions.clear();
    mounted.save();
    await expect.poll(mounted.states).toContain('expired');
    await expect.element(page.getByText('This link has expired')).toBeVisible();
    expect(mounted.root.activeElement?.id).toBe('notice');
    expect(mounted.field(NEWS_SMS)).toMatchObject({ disabled: true, checked: true });
  });
});

describe('without a session', () => {
  test('everything is drawn, disabled, under the words that say what to do', async () => {
    const { field, all, root } = await mount({ code: null });
    await expect.element(page.getByText('To change your choices, open the link in one of our e-mails.')).toBeVisible();
    expect(field(NEWS_SMS).disabled).toBe(true);
    expect(field(NEWS_SMS).checked).toBe(false);
    expect(all('section :is(input, select, button):enabled')).toEqual([]);
    expect(root.querySelector('[part=save]')).toBeNull();
  });

  test('a used code is told as expired', async () => {
    await mount({
      change: (server) => {
        server.override = ({ path }) => (path === 'sessions/' ? problem(401) : null);
      },
    });
    await expect.element(page.getByText('This link has expired')).toBeVisible();
  });
});

describe('when the choices cannot be loaded', () => {
  test('that is said, with a button to try again', async () => {
    const mounted = await mount({
      until: 'preference-center-failed',
      change: (server) => {
        server.override = ({ path }) => (path === 'sessions/' ? problem(500) : null);
      },
    });
    await expect.element(page.getByText('Your choices could not be loaded.')).toBeVisible();
    mounted.server.override = null;
    await page.getByRole('button', { name: 'Try again' }).click();
    await expect.poll(() => mounted.field(NEWS_SMS).disabled).toBe(false);
    expect(mounted.server.sent('GET', '')).toHaveLength(1);
  });

  test('it is tried again when the network is back', async () => {
    const mounted = await mount({
      until: 'preference-center-failed',
      change: (server) => {
        server.override = () => new TypeError('no network');
      },
    });
    expect(mounted.states()).toEqual(['offline']);
    mounted.server.override = null;
    dispatchEvent(new Event('online'));
    await expect.poll(() => mounted.field(NEWS_SMS)?.disabled).toBe(false);
  });
});

describe('a save', () => {
  test.each([
    ['has no states', () => undefined],
    ['wants dashes in their names', () => ({ add: refuse, delete: () => false })],
  ])('works in a browser that %s', async (_name, states) => {
    const get = vi.spyOn(ElementInternals.prototype, 'states', 'get').mockImplementation(states as never);
    const { field, save, status } = await mount();
    field(NEWS_SMS).click();
    save();
    await expect.poll(status).toContain('Saved.');
    get.mockRestore();
  });

  test('is announced, told to the page, and seen in the states', async () => {
    const mounted = await mount();
    const events = heard(mounted.element);
    expect(mounted.states()).toEqual([]);
    mounted.field(NEWS_SMS).click();
    expect(mounted.states()).toEqual(['dirty']);
    expect(mounted.status()).toBe('You have unsaved changes.');
    mounted.save();
    await expect.poll(mounted.states).toContain('saving');
    await saved(mounted);
    expect(mounted.states()).toEqual(['saved']);
    expect(mounted.status()).toContain('Saved.');
    expect(mounted.status()).toContain(`Changed: ${NEWS_SMS}`);
    expect(events).toEqual([['saved', { version: 8, receipt: 'receipt-8' }]]);
  });

  test('by keyboard alone', async () => {
    const mounted = await mount();
    mounted.field('topics.choices.news.email').focus();
    await userEvent.keyboard(' {Tab} ');
    expect(mounted.field('topics.choices.news.email').checked).toBe(false);
    expect(mounted.field(NEWS_SMS).checked).toBe(true);
    mounted.one('[part=save]').focus();
    await userEvent.keyboard('{Enter}');
    await saved(mounted);
    expect(mounted.root.activeElement).toBe(mounted.one('[part=save]'));
  });

  test('is sent once, however often the button is pressed, and the button keeps the focus', async () => {
    const mounted = await mount();
    mounted.field(NEWS_SMS).click();
    const button = mounted.one('[part=save]');
    button.focus();
    button.click();
    await Promise.resolve();
    expect(button.getAttribute('aria-disabled')).toBe('true');
    button.click();
    button.click();
    await saved(mounted);
    expect(saves(mounted)).toHaveLength(1);
    expect(mounted.root.activeElement).toBe(button);
  });

  test('shows in words what was not done as wished', async () => {
    const mounted = await mount();
    const merged = [{ path: 'x', text: 'At most: stays once a month.' }];
    mounted.server.override = ({ method }) =>
      method === 'PATCH' ? { version: 9, receipt: 'r', merged, preferences: mounted.server.preferences } : null;
    mounted.field(NEWS_SMS).click();
    mounted.save();
    await expect.poll(mounted.status).toContain('Kept as it was, because it changed elsewhere');
    await expect.element(page.getByText('At most: stays once a month.')).toBeVisible();
  });

  test('without a change says so', async () => {
    const mounted = await mount();
    mounted.save();
    await expect.poll(mounted.status).toBe('Nothing has changed.');
    expect(saves(mounted)).toEqual([]);
  });

  test('can be thought better of', async () => {
    const mounted = await mount();
    mounted.field(NEWS_SMS).click();
    fill(mounted.field('profile.first_name'), 'Kim');
    await page.getByRole('button', { name: 'Discard' }).click();
    expect(mounted.field(NEWS_SMS).checked).toBe(false);
    expect(mounted.field('profile.first_name').value).toBe('Sam');
    expect(mounted.element.dirty).toBe(false);
  });
});

describe('what is wrong', () => {
  const errors = {
    topics: { 'choices.news.sms': ['We need your mobile number.'] },
    profile: { first_name: ['Please tell us.'], role: ['Please choose.'] },
    unknown: { x: ['Something else.'] },
  };

  async function refused() {
    const mounted = await mount();
    mounted.server.override = ({ method }) => (method === 'PATCH' ? problem(422, { errors }) : null);
    mounted.field(NEWS_SMS).click();
    mounted.save();
    await saved(mounted);
    return mounted;
  }

  test('is summed up in an alert that takes the focus', async () => {
    const { root, one } = await refused();
    expect(root.activeElement).toBe(one('#summary'));
    expect(one('#summary').getAttribute('role')).toBeNull();
    const lines = [...one('[role=alert] ul').children].map((line) => line.textContent);
    expect(lines).toEqual([
      'Product news, SMS: We need your mobile number.',
      'First name: Please tell us.',
      'I am here as: Please choose.',
      'Something else.',
    ]);
  });

  test('is told beside the field, and the summary leads there', async () => {
    const { root, field } = await refused();
    await expect
      .element(page.getByRole('checkbox', { name: 'Product news SMS' }))
      .toHaveAccessibleDescription(/We need your mobile number/);
    expect(field(NEWS_SMS).getAttribute('aria-invalid')).toBe('true');
    expect(field('topics.choices.news.email').getAttribute('aria-invalid')).toBeNull();
    await page.getByRole('link', { name: /^Product news, SMS/ }).click();
    expect(root.activeElement).toBe(field(NEWS_SMS));
    await page.getByRole('link', { name: /^I am here as/ }).click();
    expect((root.activeElement as HTMLInputElement).type).toBe('radio');
    expect(location.hash).toBe('');
  });

  test('with the server is told in words', async () => {
    const mounted = await mount();
    mounted.server.override = ({ method }) => (method === 'PATCH' ? problem(503) : null);
    mounted.field(NEWS_SMS).click();
    mounted.save();
    await expect.poll(() => mounted.root.activeElement?.textContent).toContain('Something went wrong on our side.');
    expect(mounted.field(NEWS_SMS).checked).toBe(true);
  });

  test('with the network keeps what was edited, and sends it when the network is back', async () => {
    const mounted = await mount();
    const events = heard(mounted.element);
    mounted.server.override = ({ method }) => (method === 'PATCH' ? new TypeError('no network') : null);
    mounted.field(NEWS_SMS).click();
    mounted.save();
    await expect.poll(mounted.status).toContain('You are offline.');
    expect(mounted.states()).toEqual(['dirty', 'offline']);
    expect(events).toEqual([['failed', { during: 'save', status: 0 }]]);
    mounted.server.override = null;
    dispatchEvent(new Event('online'));
    await saved(mounted, 2);
    expect(mounted.states()).toEqual(['saved']);
  });
});

describe('on a page', () => {
  test('loading takes no focus', async () => {
    const button = document.createElement('button');
    document.body.append(button);
    button.focus();
    await mount();
    expect(document.activeElement).toBe(button);
  });

  test('leaving is held up only while there is something to lose', async () => {
    const { field } = await mount();
    const leave = () => !dispatchEvent(new Event('beforeunload', { cancelable: true }));
    expect(leave()).toBe(false);
    field(NEWS_SMS).click();
    expect(leave()).toBe(true);
    field(NEWS_SMS).click();
    expect(leave()).toBe(false);
  });

  test('a move keeps everything, a removal ends it', async () => {
    const { element, server, field } = await mount();
    field(NEWS_SMS).click();
    const requests = server.requests.length;
    const other = document.createElement('div');
    document.body.append(other);
    other.append(element);
    await new Promise((resolve) => setTimeout(resolve));
    expect(field(NEWS_SMS).checked).toBe(true);
    expect(element.dirty).toBe(true);
    expect(server.requests).toHaveLength(requests);
    element.remove();
    await new Promise((resolve) => setTimeout(resolve));
    expect(element.dirty).toBe(false);
  });

  test('another frame takes the element with its styles', async () => {
    const { element } = await mount();
    const frame = document.createElement('iframe');
    document.body.append(frame);
    (frame.contentDocument as Document).body.append(element);
    expect(element.shadowRoot?.adoptedStyleSheets).toHaveLength(1);
    expect(getComputedStyle(element).display).toBe('block');
  });

  test('a second copy of the script does no harm', async () => {
    expect(customElements.get('preference-center')).toBe(PreferenceCenterElement);
    // @ts-expect-error a query makes it another module
    const again = await import('../../src/define.ts?again');
    expect(again.PreferenceCenterElement).toBeDefined();
    expect(customElements.get('preference-center')).toBe(PreferenceCenterElement);
  });

  test('another address or language loads another center', async () => {
    const { element, server } = await mount();
    element.setAttribute('locale', 'ar');
    await expect.poll(() => server.sent('GET', '').map((request) => request.locale)).toEqual(['en', 'ar']);
    element.setAttribute('locale', 'ar');
    expect(server.sent('GET', '')).toHaveLength(2);
    expect(element.src).toBe(server.src);
  });

  test('the language is that of the page, also from outside a shadow root', async () => {
    const outer = document.createElement('div');
    outer.lang = 'de-AT';
    const inner = document.createElement('div');
    outer.append(inner);
    document.body.append(outer);
    const server = newServer();
    const uninstall = server.install();
    const element = document.createElement('preference-center');
    element.src = server.src;
    inner.attachShadow({ mode: 'closed' }).append(element);
    await expect.poll(() => server.requests[0]?.locale).toBe('de-AT');
    uninstall();
  });

  test('the direction is that of the document', async () => {
    const { one } = await mount({ document: centerInArabic });
    expect([one('form').dir, one('form').lang]).toEqual(['rtl', 'ar']);
    expect(getComputedStyle(one('form')).direction).toBe('rtl');
  });

  test('nothing is written on the element itself', async () => {
    const { element, field } = await mount();
    const before = element.getAttributeNames();
    field(NEWS_SMS).click();
    expect(element.getAttributeNames()).toEqual(before);
    expect(element.children).toHaveLength(1);
  });

  test('a host with tiny fonts still gets targets to hit', async () => {
    document.documentElement.style.fontSize = '62.5%';
    document.body.style.fontSize = '10px';
    const { field } = await mount();
    expect(field(NEWS_SMS).getBoundingClientRect().width).toBeGreaterThanOrEqual(24);
    document.documentElement.removeAttribute('style');
  });

  test('a field that has the focus is not hidden by the bar', async () => {
    await page.viewport(320, 500);
    const { field, one } = await mount();
    field(NEWS_SMS).click();
    field('topics.choices.restock.push').focus();
    await vi.waitFor(() => {
      const input = field('topics.choices.restock.push').getBoundingClientRect();
      expect(input.bottom).toBeLessThanOrEqual(one('.foot').getBoundingClientRect().top);
    });
    await page.viewport(900, 800);
  });
});
