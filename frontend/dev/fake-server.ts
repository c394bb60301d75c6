/** The contract of `docs/reference/center-document.md`, kept by an object in memory: for tests and the dev page. */
import type { Answers, CenterDocument, Preferences, SaveResult } from '../src/api/types.ts';

export interface Request {
  method: string;
  /** After the center's address, without the query. */
  path: string;
  locale: string | null;
  headers: Headers;
  body: Record<string, unknown>;
}

type Reply = Response | object | Error | null | undefined;
type Override = (request: Request) => Reply | Promise<Reply>;

export const SRC = 'https://cms.example/prefs/api/v1/centers/one/';

export class FakeServer {
  readonly requests: Request[] = [];
  readonly src: string;
  /** Answers first if it answers at all; an Error is a network failure. */
  override: Override | null = null;
  codes = new Set(['code']);
  sessions = new Set<string>();
  /** How long a session holds, and the moment after which none is carried on; in milliseconds. */
  life = 30 * 60_000;
  lastEnd = 8.64e15;
  document: CenterDocument;
  preferences: Preferences;

  constructor(document: unknown, preferences: unknown, src = SRC) {
    this.document = structuredClone(document) as CenterDocument;
    this.preferences = structuredClone(preferences) as Preferences;
    this.src = src;
  }

  /** Takes the place of `fetch` for the center's address. */
  install(): () => void {
    const original = globalThis.fetch;
    globalThis.fetch = (input, init) =>
      String(input).startsWith(this.src) ? this.fetch(String(input), init) : original(input, init);
    return () => {
      globalThis.fetch = original;
    };
  }

  sent(method: string, path: string): Request[] {
    return this.requests.filter((request) => request.method === method && request.path === path);
  }

  readonly fetch = async (address: string, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(address);
    const request: Request = {
      method: init.method ?? 'GET',
      path: url.href.slice(this.src.length).split('?')[0] ?? '',
      locale: url.searchParams.get('locale'),
      headers: new Headers(init.headers),
      body: init.body ? JSON.parse(String(init.body)) : {},
    };
    this.requests.push(request);
    init.signal?.throwIfAborted();
    const reply = (await this.override?.(request)) ?? this.#answer(request);
    init.signal?.throwIfAborted();
    if (reply instanceof Error) throw reply;
    return reply instanceof Response ? reply : json(reply);
  };

  #answer({ method, path, headers, body }: Request): object {
    if (method === 'GET' && path === '') return this.document;
    if (path === 'sessions/') {
      if (!(body.code ? this.codes.delete(String(body.code)) : this.#knows(headers))) return problem(401);
      const session = `session-${this.sessions.size + 1}`;
      this.sessions.add(session);
      const ends = new Date(Math.min(Date.now() + this.life, this.lastEnd));
      return { session, expires_at: ends.toISOString(), preferences: this.preferences };
    }
    if (path === 'access-links/') return json({ text: 'A mail with a link is on its way.' }, 202);
    if (path === 'signups/')
      return body.email
        ? json({ text: 'A mail is on its way. Open the link in it.' }, 202)
        : problem(422, { errors: { '': { email: ['Type your e-mail address.'] } } });
    if (!this.#knows(headers)) return problem(401);
    if (method === 'GET') return this.preferences;
    if (method === 'PATCH') return this.#save(body.answers as Answers);
    if (path === 'preferences/undo/') return this.#save({}, 'Taken back');
    if (path === 'preferences/export/') return { contact: this.preferences.contact };
    return new Response(JSON.stringify({ text: 'We have sent you an e-mail.' }), { status: 202 });
  }

  #knows(headers: Headers): boolean {
    return this.sessions.has((headers.get('Authorization') ?? '').replace('Bearer ', ''));
  }

  #save(answers: Answers, text = ''): SaveResult {
    const paths = [...leavesOf(answers)];
    const version = this.preferences.version + 1;
    const pending = (this.preferences.pending ?? []).filter((path) => !paths.includes(path));
    this.preferences = { ...this.preferences, version, pending, answers: merge(this.preferences.answers, answers) };
    return {
      version,
      receipt: `receipt-${version}`,
      applied: text ? [{ path: '', text }] : paths.map((path) => ({ path, text: `Changed: ${path}` })),
      merged: [],
      preferences: this.preferences,
    };
  }
}

export function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });
}

export function problem(status: number, body: object = {}): Response {
  const headers = { 'Content-Type': 'application/problem+json' };
  return new Response(JSON.stringify({ status, ...body }), { status, headers });
}

function isNode(value: unknown): value is Answers {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function* leavesOf(answers: Answers, under = ''): Iterable<string> {
  for (const [key, value] of Object.entries(answers)) {
    if (isNode(value)) yield* leavesOf(value, `${under}${key}.`);
    else yield under + key;
  }
}

function merge(into: Answers, from: Answers): Answers {
  const merged: Record<string, Answers[string]> = { ...into };
  for (const [key, value] of Object.entries(from)) {
    const before = merged[key];
    merged[key] = isNode(value) ? merge(isNode(before) ? before : {}, value) : value;
  }
  return merged;
}
