import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { json, problem } from '../../dev/fake-server.ts';
import { Client, Offline, Problem } from '../../src/api/client.ts';

const BASE = 'https://cms.example/centers/1/';
const fetched = vi.fn<typeof fetch>();

beforeEach(() => {
  fetched.mockReset().mockImplementation(async () => json({}));
  vi.stubGlobal('fetch', fetched);
});
afterEach(() => vi.unstubAllGlobals());

const last = () => {
  const [url, init] = fetched.mock.lastCall as [string, RequestInit];
  return { url, init, headers: new Headers(init.headers) };
};

describe('a request', () => {
  test.each([BASE, BASE.slice(0, -1), `${BASE}?x=1`, `${BASE}#x`])('goes below the center, from %s', async (src) => {
    await new Client(src, 'de').openSession('code');
    expect(last().url).toBe(`${BASE}sessions/?locale=de`);
  });

  test('has no locale when none is known', async () => {
    await new Client(BASE, '').document(new AbortController().signal);
    expect(last().url).toBe(BASE);
  });

  test('leaves the cache and the conditions to the browser, and takes no cookies along', async () => {
    await new Client(BASE, '').document(new AbortController().signal);
    const { init, headers } = last();
    expect(init.cache).toBeUndefined();
    expect(init.credentials).toBe('omit');
    expect([...headers]).toEqual([]);
  });

  test('to save carries session and key', async () => {
    await new Client(BASE, '').save('s', '{"a":1}', 'k');
    const { init, headers } = last();
    expect(init).toMatchObject({ method: 'PATCH', body: '{"a":1}' });
    expect(headers.get('Authorization')).toBe('Bearer s');
    expect(headers.get('Idempotency-Key')).toBe('k');
    expect(headers.get('Content-Type')).toBe('application/json');
    expect(headers.has('If-Match')).toBe(false);
  });
});

describe('somebody without a session', () => {
  test('asks for a link without a key', async () => {
    fetched.mockImplementation(async () => json({ text: 'On its way.' }, 202));
    expect(await new Client(BASE, 'de').requestLink('a@example.org')).toEqual({ text: 'On its way.' });
    const { url, init, headers } = last();
    expect([url, init.method, init.body]).toEqual([
      `${BASE}access-links/?locale=de`,
      'POST',
      '{"email":"a@example.org"}',
    ]);
    expect([...headers.keys()]).toEqual(['content-type']);
  });

  test('signs up with a key', async () => {
    await new Client(BASE, '').signUp('{"a":1}', 'k');
    const { url, init, headers } = last();
    expect([url, init.method, init.body]).toEqual([`${BASE}signups/`, 'POST', '{"a":1}']);
    expect(headers.get('Idempotency-Key')).toBe('k');
    expect(headers.has('Authorization')).toBe(false);
  });
});

test('a session is carried on by itself', async () => {
  await new Client(BASE, '').renew('s');
  const { url, init, headers } = last();
  expect([url, init.method, init.body]).toEqual([`${BASE}sessions/`, 'POST', '{}']);
  expect(headers.get('Authorization')).toBe('Bearer s');
});

describe('an answer', () => {
  const save = () => new Client(BASE, '').save('s', '{}', 'k');

  test('that refuses throws the problem, with its errors by path', async () => {
    fetched.mockImplementation(async () => problem(422, { errors: { b: { 'choices.news.sms': ['No number'] } } }));
    const error = await save().catch((thrown) => thrown);
    expect(error).toBeInstanceOf(Problem);
    expect(error.status).toBe(422);
    expect([...error.errors]).toEqual([['b.choices.news.sms', ['No number']]]);
  });

  test('of a proxy that speaks HTML is a problem without words', async () => {
    fetched.mockImplementation(async () => new Response('<h1>Bad gateway</h1>', { status: 502 }));
    const error = await save().catch((thrown) => thrown);
    expect(error).toMatchObject({ status: 502, body: {} });
    expect(error.errors.size).toBe(0);
  });

  test('may be empty', async () => {
    fetched.mockImplementation(async () => new Response(null, { status: 202 }));
    expect(await new Client(BASE, '').act('s', 'step-up', {}, 'key-1')).toEqual({});
  });

  test('that never comes throws Offline, an abort throws itself', async () => {
    fetched.mockRejectedValue(new TypeError('Failed to fetch'));
    await expect(save()).rejects.toBeInstanceOf(Offline);
    fetched.mockRejectedValue(new DOMException('x', 'AbortError'));
    await expect(save()).rejects.toHaveProperty('name', 'AbortError');
  });
});
