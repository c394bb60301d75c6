import type { CenterDocument, OpenedSession, Preferences, ProblemBody, SaveResult } from './types.ts';

/** The server's refusal: its status, and its `application/problem+json` body if it sent one. */
export class Problem extends Error {
  readonly status: number;
  readonly body: ProblemBody;

  constructor(status: number, body: ProblemBody = {}) {
    super(body.title ?? String(status));
    this.status = status;
    this.body = body;
  }

  /** The messages of a 422 by path: `block.choices.news.sms`. */
  get errors(): Map<string, readonly string[]> {
    const byPath = new Map<string, readonly string[]>();
    for (const [block, fields] of Object.entries(this.body.errors ?? {}))
      for (const [field, messages] of Object.entries(fields)) byPath.set(`${block}.${field}`, messages);
    return byPath;
  }
}

/** No answer came: no network, or the server does not let this page ask. */
export class Offline extends Error {}

/**
 * HTTP and nothing else. A refusal throws `Problem`, silence throws `Offline`.
 *
 * Sets neither `cache` nor a conditional header: Fetch would turn either into `no-store`, and each would cost one
 * more preflight. The browser does the ETag by itself. No cookies, ever.
 */
export class Client {
  readonly base: string;
  readonly #locale: string;

  /** `src` is the absolute address of the center document. */
  constructor(src: string, locale: string) {
    const url = new URL(src);
    url.search = url.hash = '';
    if (!url.pathname.endsWith('/')) url.pathname += '/';
    this.base = url.href;
    this.#locale = locale;
  }

  document(signal?: AbortSignal): Promise<CenterDocument> {
    return this.#send('', signal ? { signal } : {});
  }

  openSession(code: string): Promise<OpenedSession> {
    return this.#post('sessions/', { code });
  }

  preferences(session: string, signal?: AbortSignal): Promise<Preferences> {
    return this.#send('preferences/', signal ? { signal } : {}, session);
  }

  /** `body` comes as text: a repeat with the same key must have the same bytes. */
  save(session: string, body: string, key: string): Promise<SaveResult> {
    return this.#send('preferences/', { method: 'PATCH', body, headers: { 'Idempotency-Key': key } }, session);
  }

  /** `undo`, `step-up`, `export` or `erasure`. */
  act<T>(session: string, name: string, data: object): Promise<T> {
    return this.#post(`preferences/${name}/`, data, session);
  }

  #post<T>(path: string, data: object, session?: string): Promise<T> {
    return this.#send(path, { method: 'POST', body: JSON.stringify(data) }, session);
  }

  async #send<T>(path: string, init: RequestInit, session?: string): Promise<T> {
    const query = this.#locale && `?locale=${encodeURIComponent(this.#locale)}`;
    const response = await fetch(this.base + path + query, {
      ...init,
      credentials: 'omit',
      headers: {
        ...(init.body ? { 'Content-Type': 'application/json' } : {}),
        ...(session ? { Authorization: `Bearer ${session}` } : {}),
        ...init.headers,
      },
    }).catch((error) => {
      throw error instanceof TypeError ? new Offline() : error;
    });
    if (response.status === 200 || response.status === 201) return response.json();
    // An empty 202 or 204 is fine, and so is a proxy's error page in HTML: both count as an empty object.
    const body = await response.json().catch(() => ({}));
    if (!response.ok) throw new Problem(response.status, body);
    return body;
  }
}
