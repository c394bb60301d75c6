import { bare } from '../bare.ts';
import type { Accepted, CenterDocument, OpenedSession, Preferences, ProblemBody, SaveResult } from './types.ts';

/** The server's refusal: its status, and its `application/problem+json` body if it sent one. */
export class Problem extends Error {
  readonly status: number;
  readonly body: ProblemBody;

  constructor(status: number, body: ProblemBody) {
    super(body.title);
    this.status = status;
    this.body = body;
  }

  /** The messages of a 422 by path: `block.choices.news.sms`. */
  get errors(): Map<string, readonly string[]> {
    return new Map(
      Object.entries(this.body.errors ?? {}).flatMap(([block, fields]) =>
        Object.entries(fields).map(([field, messages]) => [`${block}.${field}`, messages]),
      ),
    );
  }
}

/** No answer came: no network, or the server does not let this page ask. */
export class Offline extends Error {}

/** Whether the server said no, and would say it again. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Problem && error.status < 500 && error.status !== 429;
}

/** For `JSON.parse`. */
const own = (_key: string, value: unknown) => (value instanceof Object ? bare(value) : value);

/**
 * HTTP and nothing else. A refusal throws `Problem`, silence throws `Offline`.
 *
 * Sets neither `cache` nor a conditional header: Fetch would turn either into `no-store`, and each would cost one
 * more preflight. The browser does the ETag by itself. No cookies, ever.
 */
export class Client {
  /** The address of the center, with a slash at its end. */
  readonly base: string;
  readonly #query: string;

  /** `src` is the absolute address of the center document. */
  constructor(src: string, locale: string) {
    this.base = src.replace(/\/?([?#].*)?$/, '/');
    this.#query = locale && `?locale=${encodeURIComponent(locale)}`;
  }

  document(signal: AbortSignal): Promise<CenterDocument> {
    return this.#send('', { signal });
  }

  openSession(code: string): Promise<OpenedSession> {
    return this.#send('sessions/', { method: 'POST', body: JSON.stringify({ code }) });
  }

  /** A new session for the one that is held, which goes on until its own end. */
  renew(session: string): Promise<OpenedSession> {
    return this.#send('sessions/', { method: 'POST', body: '{}' }, session);
  }

  /** A link goes to that address, if it is known. The answer is always the same. */
  requestLink(email: string): Promise<Accepted> {
    return this.#send('access-links/', { method: 'POST', body: JSON.stringify({ email }) });
  }

  /** As `save`, for somebody new: nothing counts before the link in a mail is confirmed. */
  signUp(body: string, key: string): Promise<Accepted> {
    return this.#send('signups/', { method: 'POST', body }, undefined, key);
  }

  preferences(session: string, signal: AbortSignal): Promise<Preferences> {
    return this.#send('preferences/', { signal }, session);
  }

  /** `body` comes as text: a repeat with the same key must have the same bytes. */
  save(session: string, body: string, key: string): Promise<SaveResult> {
    return this.#send('preferences/', { method: 'PATCH', body }, session, key);
  }

  /** `undo`, `step-up`, `export` or `erasure`. */
  act(session: string, name: string, data: object, key: string): Promise<Partial<SaveResult> & { text?: string }> {
    return this.#send(`preferences/${name}/`, { method: 'POST', body: JSON.stringify(data) }, session, key);
  }

  async #send<T>(path: string, init: RequestInit, session?: string, key?: string): Promise<T> {
    const headers = new Headers();
    bare(Object.assign(init, { headers, credentials: 'omit' }));
    if (init.body) headers.set('Content-Type', 'application/json');
    if (session) headers.set('Authorization', `Bearer ${session}`);
    if (key) headers.set('Idempotency-Key', key);
    const url = this.base + path + this.#query;
    const response = await fetch(url, init).catch((error) => {
      throw error instanceof TypeError ? new Offline() : error;
    });
    const read = async () => JSON.parse(await response.text(), own);
    if (response.status === 200) return read();
    // An empty 202 or 204 is fine, and so is a proxy's error page in HTML: both count as an empty object.
    const body = await read().catch(() => ({}));
    if (!response.ok) throw new Problem(response.status, body);
    return body;
  }
}
