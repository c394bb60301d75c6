import { afterEach, describe, expect, test, vi } from 'vitest';
import { type FakeServer, json, problem } from '../../dev/fake-server.ts';
import { Client } from '../../src/api/client.ts';
import { SessionKeeper } from '../../src/state/session.ts';
import { Store } from '../../src/state/store.ts';
import { center, newServer, prefs } from '../center.ts';

const NEWS_SMS = 'topics.choices.news.sms';
const NEWS_EMAIL = 'topics.choices.news.email';

let uninstall = () => {};
afterEach(() => {
  uninstall();
  vi.unstubAllGlobals();
});

interface Setup {
  server: FakeServer;
  store: Store;
  keeper: SessionKeeper;
  heard: [string, unknown][];
}

async function open(change?: (server: FakeServer) => void, code: string | null = 'code'): Promise<Setup> {
  const server = newServer();
  uninstall = server.install();
  change?.(server);
  const heard: [string, unknown][] = [];
  const client = new Client(server.src, 'en');
  const keeper = new SessionKeeper(client.base, () => {
    throw new Error('no storage here');
  });
  const store = new Store(client, keeper, (signal, detail) => signal && heard.push([signal, detail]));
  await store.load(code);
  return { server, store, keeper, heard };
}

describe('loading', () => {
  test('with a code opens the center', async () => {
    const { store, heard } = await open();
    expect(store.phase).toBe('open');
    expect(store.value(NEWS_EMAIL)).toBe(true);
    expect(heard).toEqual([['loaded', { revision: center.revision, phase: 'open' }]]);
  });

  test('without a code or session shows the center closed', async () => {
    const { store, server } = await open(undefined, null);
    expect(store.phase).toBe('closed');
    expect(store.document?.title).toBe(center.title);
    expect(server.requests).toHaveLength(1);
  });

  test('with a session kept from before needs no code', async () => {
    const server = newServer();
    uninstall = server.install();
    server.sessions.add('kept');
    const client = new Client(server.src, '');
    const keeper = new SessionKeeper(client.base, () => ({ getItem: () => 'kept' }) as unknown as Storage);
    const store = new Store(client, keeper, () => {});
    await store.load();
    expect(store.phase).toBe('open');
    expect(server.sent('GET', 'preferences/')[0]?.headers.get('Authorization')).toBe('Bearer kept');
  });

  test('with a used code falls back to the session of the tab', async () => {
    const { server, keeper } = await open();
    const store = new Store(new Client(server.src, ''), keeper, () => {});
    await store.load('code-used-up-elsewhere');
    expect(store.phase).toBe('open');
  });

  test('with a used code and no session says that it has expired', async () => {
    const { store } = await open((server) => server.codes.clear());
    expect(store.phase).toBe('expired');
  });

  test('with a session that has ended says that it has expired', async () => {
    const { server, keeper } = await open();
    server.sessions.clear();
    const store = new Store(new Client(server.src, ''), keeper, () => {});
    await store.load();
    expect(store.phase).toBe('expired');
    expect(keeper.get()).toBeNull();
  });

  test('can be tried again after a failure, and the code is still good', async () => {
    const { store, server, heard } = await open((failing) => {
      failing.override = ({ path }) => (path === 'sessions/' ? new TypeError('no network') : null);
    });
    expect(store.phase).toBe('failed');
    expect(store.offline).toBe(true);
    expect(heard).toEqual([['failed', { during: 'load', status: 0 }]]);
    server.override = null;
    await store.retry();
    expect(store.phase).toBe('open');
    expect(server.sent('GET', '')).toHaveLength(1);
  });

  test('that was stopped changes nothing any more', async () => {
    const server = newServer();
    uninstall = server.install();
    const listener = vi.fn();
    const store = new Store(new Client(server.src, ''), new SessionKeeper('x', () => sessionStorage), listener);
    const loading = store.load(null);
    store.stop();
    listener.mockClear();
    await loading;
    expect(listener).not.toHaveBeenCalled();
  });
});

describe('the draft', () => {
  test('holds what differs and nothing else', async () => {
    const { store } = await open();
    store.set(NEWS_EMAIL, false);
    store.set(NEWS_SMS, true);
    expect([...store.difference()]).toEqual([
      [NEWS_EMAIL, false],
      [NEWS_SMS, true],
    ]);
    store.set(NEWS_EMAIL, true);
    store.set(NEWS_SMS, false);
    expect(store.draft.size).toBe(0);
  });

  test('takes no answer that is not offered', async () => {
    const { store } = await open();
    store.set('topics.choices.orders.email', false);
    store.set('often.frequency.all', 'hourly');
    store.set('nowhere.at.all', true);
    expect(store.draft.size).toBe(0);
  });

  test('goes away when the person discards it', async () => {
    const { store } = await open();
    store.set(NEWS_SMS, true);
    store.discard();
    expect(store.draft.size).toBe(0);
    expect(store.value(NEWS_SMS)).toBeUndefined();
  });

  test('shows what waits for a confirmation as not chosen', async () => {
    const { store } = await open((server) => {
      server.preferences = { ...server.preferences, pending: [NEWS_EMAIL] };
    });
    expect(store.value(NEWS_EMAIL)).toBeUndefined();
    expect(store.isPending(NEWS_EMAIL)).toBe(true);
  });

  test('is not sent where a condition hides it, and comes back with it', async () => {
    const { store } = await open();
    store.set('profile.role', 'trade');
    store.set('profile.company', 'Smith & Daughters');
    store.set('profile.role', 'press');
    expect([...store.difference().keys()]).toEqual(['profile.role']);
    store.set('profile.role', 'trade');
    expect(store.difference().get('profile.company')).toBe('Smith & Daughters');
  });

  test('is not sent where the server hides it', async () => {
    const { store } = await open((server) => {
      server.preferences = { ...server.preferences, hidden: ['topics.choices.news', 'profile'] };
    });
    store.set(NEWS_SMS, true);
    store.set('profile.first_name', 'Kim');
    expect(store.difference().size).toBe(0);
  });
});

describe('a save', () => {
  test('sends the difference alone, on the version and document that were shown', async () => {
    const { store, server, heard } = await open();
    store.set(NEWS_SMS, true);
    expect(await store.save()).toBe(true);
    const [request] = server.sent('PATCH', 'preferences/');
    expect(request?.body).toEqual({
      base_version: 7,
      revision: center.revision,
      answers: { topics: { choices: { news: { sms: true } } } },
    });
    expect(request?.locale).toBe('en');
    expect(store.preferences?.version).toBe(8);
    expect(store.draft.size).toBe(0);
    expect(store.outcome).toMatchObject({ text: 'Saved.', saved: true, applied: [{ text: `Changed: ${NEWS_SMS}` }] });
    expect(heard.at(-1)).toEqual(['saved', { version: 8, receipt: 'receipt-8' }]);
  });

  test('of nothing asks nobody', async () => {
    const { store, server } = await open();
    expect(await store.save()).toBe(true);
    expect(server.sent('PATCH', 'preferences/')).toHaveLength(0);
    expect(store.outcome?.text).toBe('Nothing has changed.');
  });

  test('that changed nothing says so', async () => {
    const { store, server } = await open();
    server.override = ({ method }) =>
      method === 'PATCH'
        ? { version: 7, receipt: null, applied: [], merged: [], preferences: server.preferences }
        : null;
    store.set(NEWS_SMS, true);
    await store.save();
    expect(store.outcome).toMatchObject({ text: 'Nothing has changed.', saved: false });
  });

  test('never says that nothing changed above something that was done', async () => {
    const { store, server } = await open();
    const applied = [{ path: 'profile.email', text: 'We send a mail to the new address.' }];
    server.override = ({ method }) =>
      method === 'PATCH' ? { version: 7, receipt: null, applied, merged: [], preferences: server.preferences } : null;
    store.set(NEWS_SMS, true);
    await store.save();
    expect(store.outcome).toMatchObject({ text: 'We send a mail to the new address.', saved: false, applied: [] });
  });

  test('shows in words what was merged', async () => {
    const { store, server } = await open();
    const merged = [{ path: 'often.frequency.all', text: 'Stays monthly.' }];
    server.override = ({ method }) =>
      method === 'PATCH' ? { version: 9, receipt: 'r', applied: [], merged, preferences: server.preferences } : null;
    store.set(NEWS_SMS, true);
    await store.save();
    expect(store.outcome?.merged).toEqual(merged);
  });

  test('waits for the one before, and starts from the version that it brought', async () => {
    const { store, server } = await open();
    let second: Promise<boolean> | undefined;
    server.override = ({ method }) => {
      if (method === 'PATCH' && !second) {
        store.set('topics.choices.tips.sms', true);
        second = store.save();
      }
      return null;
    };
    store.set(NEWS_SMS, true);
    await store.save();
    await second;
    const [one, two] = server.sent('PATCH', 'preferences/');
    expect(one?.body.base_version).toBe(7);
    expect(two?.body.base_version).toBe(8);
  });

  test('keeps what was edited while it was on its way', async () => {
    const { store, server } = await open();
    let edit = () => {};
    server.override = ({ method }) => {
      if (method === 'PATCH') edit();
      return null;
    };
    edit = () => {
      store.set(NEWS_SMS, false);
      store.set('topics.choices.tips.sms', true);
    };
    store.set('profile.first_name', 'Kim');
    await store.save();
    expect([...store.draft.keys()]).toEqual(['topics.choices.tips.sms']);
  });

  test('does not let an answer that is required be emptied, but asks for none that was not touched', async () => {
    const { store, server } = await open();
    store.set('profile.first_name', '');
    expect(await store.save()).toBe(false);
    expect([...store.errors]).toEqual([['profile.first_name', ['required']]]);
    expect(server.sent('PATCH', 'preferences/')).toHaveLength(0);
    store.set('profile.first_name', 'Sam');
    expect(store.errors.size).toBe(0);
  });

  test('can take a date back', async () => {
    const { store, server } = await open((with_date) => {
      with_date.preferences = { ...with_date.preferences, answers: { profile: { birthday: '1990-01-01' } } };
    });
    store.set('profile.birthday', null);
    await store.save();
    expect(server.sent('PATCH', 'preferences/')[0]?.body.answers).toEqual({ profile: { birthday: null } });
  });
});

describe('the idempotency key', () => {
  const keys = (server: FakeServer) =>
    server.sent('PATCH', 'preferences/').map((request) => request.headers.get('Idempotency-Key'));

  test('is the same when the same changes are sent again after silence', async () => {
    const { store, server } = await open();
    server.override = ({ method }) => (method === 'PATCH' ? new TypeError('no network') : null);
    store.set(NEWS_SMS, true);
    expect(await store.save()).toBe(false);
    expect(store.offline).toBe(true);
    expect(store.draft.size).toBe(1);
    server.override = null;
    await store.retry();
    const [first, second] = keys(server);
    expect(first).toBe(second);
    expect(store.draft.size).toBe(0);
  });

  test('is the same after an error of the server', async () => {
    const { store, server } = await open();
    server.override = ({ method }) => (method === 'PATCH' ? problem(503) : null);
    store.set(NEWS_SMS, true);
    await store.save();
    server.override = null;
    await store.save();
    expect(new Set(keys(server)).size).toBe(1);
  });

  test('is another after an edit', async () => {
    const { store, server } = await open();
    server.override = ({ method }) => (method === 'PATCH' ? new TypeError('no network') : null);
    store.set(NEWS_SMS, true);
    await store.save();
    store.set('topics.choices.tips.sms', true);
    server.override = null;
    await store.retry();
    expect(new Set(keys(server)).size).toBe(2);
  });

  test('is another after a refusal, and for the next save', async () => {
    const { store, server } = await open();
    server.override = ({ method }) => (method === 'PATCH' ? problem(422, { errors: { topics: { x: ['no'] } } }) : null);
    store.set(NEWS_SMS, true);
    await store.save();
    server.override = null;
    await store.save();
    store.set(NEWS_SMS, false);
    await store.save();
    expect(new Set(keys(server)).size).toBe(3);
  });

  test('is random on plain http, too', async () => {
    const { store, server } = await open();
    vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues.bind(crypto) });
    store.set(NEWS_SMS, true);
    await store.save();
    expect(keys(server)[0]).toMatch(/^\d+(-\d+){3}$/);
  });
});

describe('a refusal', () => {
  async function refused(status: number, body?: object) {
    const setup = await open();
    setup.server.override = ({ method }) => (method === 'PATCH' ? problem(status, body) : null);
    setup.store.set(NEWS_SMS, true);
    expect(await setup.store.save()).toBe(false);
    expect(setup.store.draft.size).toBe(1);
    expect(setup.store.busy).toBe(false);
    return setup;
  }

  test('of answers is told by path', async () => {
    const { store, heard } = await refused(422, { errors: { topics: { 'choices.news.sms': ['No number.'] } } });
    expect([...store.errors]).toEqual([[NEWS_SMS, ['No number.']]]);
    expect(heard.slice(-2)).toEqual([
      ['failed', { during: 'save', status: 422 }],
      ['refused', undefined],
    ]);
    store.set(NEWS_SMS, false);
    expect(store.errors.size).toBe(0);
  });

  test.each([
    [429, undefined, 'Too many tries. Please wait a minute.'],
    [500, { title: 'Traceback' }, 'Something went wrong on our side. Please try again.'],
    [403, { title: 'Step up', detail: 'Open a fresh link first.' }, 'Open a fresh link first.'],
    [400, { title: 'Not our JSON' }, 'Not our JSON'],
    [400, undefined, 'Something went wrong on our side. Please try again.'],
  ])('with %i is told in words', async (status, body, words) => {
    const { store } = await refused(status, body);
    expect([...store.errors]).toEqual([['', [words]]]);
  });

  test('of the session keeps what was edited for the next link', async () => {
    const { store, server, keeper } = await refused(401);
    expect(store.phase).toBe('expired');
    expect(keeper.get()).toBeNull();
    server.override = null;
    server.codes.add('fresh');
    await store.load('fresh');
    expect(store.phase).toBe('open');
    expect(store.value(NEWS_SMS)).toBe(true);
  });
});

describe('a newer document', () => {
  test('is fetched, and takes along what of the draft it still offers', async () => {
    const { store, server } = await open();
    store.set('topics.choices.tips.sms', true);
    store.set('often.frequency.all', 'daily');
    store.set('profile.first_name', 'Kim');
    const newer = structuredClone(center);
    const [matrix, often] = [newer.blocks[1]?.controls[0], newer.blocks[2]?.controls[0]];
    if (matrix?.type === 'matrix') matrix.rows = matrix.rows.filter((row) => row.key !== 'tips');
    if (often?.type === 'matrix') often.columns = often.columns.filter((column) => column.key !== 'daily');
    server.document = { ...newer, revision: 'newer' };
    server.preferences = { ...server.preferences, revision: 'newer' };
    await store.act({ answers: { opted_out: true } }, 'leave');
    expect(store.document?.revision).toBe('newer');
    expect([...store.draft.keys()]).toEqual(['profile.first_name']);
  });

  test('that a cache does not have yet does not stop anything', async () => {
    const { store, server } = await open((stale) => {
      stale.preferences = { ...stale.preferences, revision: 'newer' };
    });
    expect(store.phase).toBe('open');
    expect(server.sent('GET', '')).toHaveLength(2);
  });
});

describe('an action', () => {
  test('sends its answers at once and alone, and what was edited stays', async () => {
    const { store, server } = await open();
    store.set(NEWS_SMS, true);
    expect(await store.act({ answers: { opted_out: true } }, 'leave')).toBe(true);
    expect(server.sent('PATCH', 'preferences/')[0]?.body.answers).toEqual({ leave: { opted_out: true } });
    expect([...store.draft.keys()]).toEqual([NEWS_SMS]);
    expect(store.value('leave.opted_out')).toBe(true);
  });

  test('is sent again as it was when the network is back', async () => {
    const { store, server } = await open();
    server.override = ({ method }) => (method === 'PATCH' ? new TypeError('no network') : null);
    await store.act({ answers: { opted_out: true } }, 'leave');
    store.set(NEWS_SMS, true);
    server.override = null;
    await store.retry();
    const [first, second] = server.sent('PATCH', 'preferences/');
    expect(second?.body).toEqual(first?.body);
    expect(second?.headers.get('Idempotency-Key')).toBe(first?.headers.get('Idempotency-Key'));
  });

  test('undo takes back the last save, or the record it stands at', async () => {
    const { store, server } = await open();
    store.set(NEWS_SMS, true);
    await store.save();
    await store.act('undo', 'history');
    await store.act('undo', 'history', '019a-1');
    expect(server.sent('POST', 'preferences/undo/').map((request) => request.body)).toEqual([
      { receipt: 'receipt-8' },
      { receipt: '019a-1' },
    ]);
    expect(store.outcome?.applied?.[0]?.text).toBe('Taken back');
  });

  test('an undo that is tried again has the key of the first try, another has another', async () => {
    const { store, server } = await open();
    server.override = ({ path }) => (path.includes('undo') ? new TypeError('no network') : null);
    await store.act('undo', 'history', '019a-1');
    server.override = null;
    await store.retry();
    await store.act('undo', 'history', '019a-1');
    const keys = server.sent('POST', 'preferences/undo/').map(({ headers }) => headers.get('Idempotency-Key'));
    expect(keys).toHaveLength(3);
    expect(keys[0]).toMatch(/^[!-~]{8,255}$/);
    expect(keys[1]).toBe(keys[0]);
    expect(keys[2]).not.toBe(keys[0]);
  });

  test('undo says what was kept', async () => {
    const { store, server } = await open();
    const kept = [{ path: 'x', text: 'Stays off.' }];
    server.override = ({ path }) =>
      path.includes('undo') ? { version: 8, receipt: 'r', kept, preferences: server.preferences } : null;
    await store.act('undo', 'history', '019a-1');
    expect(store.outcome?.merged).toEqual(kept);
  });

  test('step up says what comes next in the words of the server', async () => {
    const { store, server } = await open();
    expect(await store.act('step_up', 'profile')).toBe(true);
    expect(server.sent('POST', 'preferences/step-up/')).toHaveLength(1);
    expect(store.outcome?.text).toBe('We have sent you an e-mail.');
  });

  test('export hands the data over', async () => {
    const { store, heard } = await open();
    await store.act('export', 'more');
    expect(heard.at(-1)).toEqual(['exported', { contact: prefs.contact }]);
  });

  test('erase ends the session', async () => {
    const { store, keeper } = await open();
    store.set(NEWS_SMS, true);
    await store.act('erase', 'more');
    expect(store.phase).toBe('closed');
    expect(store.draft.size).toBe(0);
    expect(keeper.get()).toBeNull();
  });
});

test('the own page is the base of all links, if it is a web page', async () => {
  const { store } = await open((server) => {
    server.override = ({ path }) => (path === '' ? json({ ...center, page_url: 'javascript:alert(1)' }) : null);
  });
  expect(store.page).toMatch(/^https:\/\/cms\.example\//);
});
