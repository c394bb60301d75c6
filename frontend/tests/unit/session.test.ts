import { describe, expect, test } from 'vitest';
import { Client, Offline, Problem } from '../../src/api/client.ts';
import { exchange, SessionKeeper, takeCode } from '../../src/state/session.ts';

const BASE = 'https://cms.example/1/';

function browser(hash: string) {
  const replaced: string[] = [];
  const location = { hash, pathname: '/page', search: '?a=1' } as Location;
  const history = { state: 'kept', replaceState: (_: unknown, __: string, url: string) => replaced.push(url) };
  return { location, history: history as unknown as History, replaced };
}

function storage(): Storage {
  const map = new Map<string, string>();
  return {
    getItem: (key: string) => map.get(key) ?? null,
    setItem: (key: string, value: string) => map.set(key, value),
    removeItem: (key: string) => map.delete(key),
  } as unknown as Storage;
}

const blocked = () => {
  throw new DOMException('blocked', 'SecurityError');
};

describe('the code in the fragment', () => {
  test.each([
    ['#pc=abc', 'abc', '/page?a=1'],
    ['#pc=abc&tab=2', 'abc', '/page?a=1#tab=2'],
    ['#tab=2&pc=abc', 'abc', '/page?a=1#tab=2'],
    ['#section&pc=abc&tab=2', 'abc', '/page?a=1#section&tab=2'],
  ])('%s is taken and the rest stays', (hash, code, url) => {
    const { location, history, replaced } = browser(hash);
    expect(takeCode(BASE, location, history)).toBe(code);
    expect(replaced).toEqual([url]);
  });

  test('is kept for the next element of the same server, and shown to no other', () => {
    const first = browser('#pc=shared');
    takeCode(BASE, first.location, first.history);
    const { location, history, replaced } = browser('');
    expect(takeCode('https://cms.example/2/', location, history)).toBe('shared');
    expect(takeCode('https://other.example/', location, history)).toBeNull();
    expect(replaced).toEqual([]);
  });

  test.each(['#epc=abc', '#section', ''])('is not seen in %j', (hash) => {
    const { location, history, replaced } = browser(hash);
    takeCode(BASE, location, history);
    expect(replaced).toEqual([]);
  });
});

describe('the exchange of a code', () => {
  const opened = { session: 's' };

  function clientOf(answer: () => Promise<unknown>) {
    const client = new Client(`https://cms.example/${Math.random()}/`, '');
    let calls = 0;
    client.openSession = () => {
      calls += 1;
      return answer() as ReturnType<Client['openSession']>;
    };
    return { client, calls: () => calls };
  }

  test('happens once, however many elements ask', async () => {
    const { client, calls } = clientOf(async () => opened);
    const both = await Promise.all([exchange(client, 'c'), exchange(client, 'c')]);
    expect(both).toEqual([opened, opened]);
    expect(calls()).toBe(1);
  });

  test('leaves no code behind', async () => {
    const { location, history } = browser('#pc=once');
    takeCode(BASE, location, history);
    const { client } = clientOf(async () => opened);
    await exchange(client, 'once');
    const later = browser('');
    expect(takeCode(BASE, later.location, later.history)).toBeNull();
  });

  test('is not tried again after a refusal', async () => {
    const { client, calls } = clientOf(() => Promise.reject(new Problem(401, {})));
    await exchange(client, 'c')?.catch(() => {});
    expect(exchange(client, 'c')).toBeNull();
    expect(calls()).toBe(1);
  });

  test.each([new Offline(), new Problem(503, {}), new Problem(429, {})])('is tried again after %s', async (error) => {
    const { client, calls } = clientOf(() => Promise.reject(error));
    await exchange(client, 'c')?.catch(() => {});
    await exchange(client, 'c')?.catch(() => {});
    expect(calls()).toBe(2);
  });
});

describe('a session', () => {
  test('is kept in the tab for its own center only', () => {
    const tab = storage();
    new SessionKeeper('https://a.example/1/', () => tab).set('one');
    expect(tab.getItem('preference-center https://a.example/1/')).toBe('one');
    expect(new SessionKeeper('https://a.example/2/', () => tab).get()).toBeNull();
  });

  test('is found in the tab after a reload', () => {
    const tab = storage();
    tab.setItem('preference-center https://a.example/reload/', 'kept');
    expect(new SessionKeeper('https://a.example/reload/', () => tab).get()).toBe('kept');
  });

  test('lives in memory where storage is blocked', () => {
    const keeper = new SessionKeeper('https://a.example/blocked/', blocked);
    expect(keeper.get()).toBeNull();
    keeper.set('one');
    expect(keeper.get()).toBe('one');
    keeper.set(null);
    expect(keeper.get()).toBeNull();
  });

  test('is known with its end, also after a reload', () => {
    const tab = storage();
    const end = '2026-11-22T12:00:00Z';
    const [one, two] = ['end', 'end'].map((name) => new SessionKeeper(`https://a.example/${name}/`, () => tab));
    expect(one?.ends).toBeNaN();
    one?.set('one', end);
    expect([two?.get(), two?.ends]).toEqual(['one', Date.parse(end)]);
    expect(tab.getItem('preference-center https://a.example/end/')).toBe(`one ${end}`);
    one?.set('old');
    expect(two?.ends).toBeNaN();
  });

  test('that is carried on goes back into the tab only where the page has left it there', () => {
    const tab = storage();
    const key = 'preference-center https://a.example/on/';
    const keeper = new SessionKeeper('https://a.example/on/', () => tab);
    keeper.set('one', 'x');
    keeper.carryOn('two', 'y');
    expect([keeper.get(), tab.getItem(key)]).toEqual(['two', 'two y']);
    tab.removeItem(key);
    keeper.carryOn('three', 'z');
    expect([keeper.get(), tab.getItem(key)]).toEqual(['three', null]);
  });

  test('is gone from both when it ends', () => {
    const tab = storage();
    const keeper = new SessionKeeper('https://a.example/ends/', () => tab);
    keeper.set('one');
    keeper.set(null);
    expect(keeper.get()).toBeNull();
    expect(tab.getItem('preference-center https://a.example/ends/')).toBeNull();
  });
});
