import { Client } from './api/client.ts';
import { App } from './app.tsx';
import { guardFrame } from './frame.ts';
import { SessionKeeper, takeCode } from './state/session.ts';
import { type Signal, Store } from './state/store.ts';
import css from './styles/center.css?inline';
import { h, render } from './view.ts';

/** Importable where there is no DOM, as in a server render. */
const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement;

/**
 * A preference center, drawn from the document at `src`. It draws into its own shadow root and writes nothing on
 * itself, so that frameworks that compare attributes stay calm.
 *
 * @tag preference-center
 * @attr {string} src - The address of the center document.
 * @attr {'light' | 'dark' | 'auto'} theme - Its colours; without it the element follows the page.
 * @attr {string} locale - The wanted language; without it that of the closest `lang`.
 * @fires {CustomEvent<{ revision: string; phase: string }>} preference-center-loaded - The center is on screen; `phase` is
 *   `open` where somebody may choose.
 * @fires {CustomEvent<{ version: number; receipt: string | null }>} preference-center-saved - A change was recorded.
 * @fires {CustomEvent<{ during: string; status: number }>} preference-center-failed - It could not be loaded or saved; a
 *   `status` of 0 is no answer.
 * @slot - Shows until the center is there, and when it never comes: a link to the own page.
 * @cssState dirty - Something was changed and is not saved.
 * @cssState saving - A save is on its way.
 * @cssState saved - The last save was recorded.
 * @cssState offline - There is no connection; what was changed is kept.
 * @cssState expired - The session is over.
 * @csspart form - All of it, but the line with the buttons.
 * @csspart heading - The title of the center.
 * @csspart block - A block as the editor composed it.
 * @csspart title - The heading of a block.
 * @csspart field - A question: its label, its help and its answer.
 * @csspart topics - The table of topics and channels.
 * @csspart option - One answer of several, with its words.
 * @csspart error - What is wrong with an answer, beside it.
 * @csspart summary - What is wrong, at the top, with links to where.
 * @csspart notice - Why nothing can be changed now, and what was done.
 * @csspart status - The line that says what goes on.
 * @csspart actions - The buttons beside it.
 * @csspart save - The button that saves.
 * @csspart discard - The button that takes changes back.
 * @csspart action - Any other button.
 * @csspart leave - The button that unsubscribes from everything.
 * @csspart social - Links to social networks.
 * @cssprop --pc-accent - Buttons, ticks and links.
 * @cssprop --pc-on-accent - Text on it.
 * @cssprop --pc-color - Text.
 * @cssprop --pc-background - Behind everything.
 * @cssprop --pc-border - Lines.
 * @cssprop --pc-danger - What is wrong, and leaving.
 * @cssprop --pc-field - Behind fields.
 * @cssprop --pc-focus - Around what has the focus.
 * @cssprop --pc-font - The font family.
 * @cssprop --pc-gap - Between blocks.
 * @cssprop --pc-radius - Of corners.
 */
export class PreferenceCenterElement extends Base {
  static readonly observedAttributes = ['src', 'locale'];

  readonly #internals = this.attachInternals();
  readonly #root = this.#internals.shadowRoot ?? this.attachShadow({ mode: 'open' });
  /** Whether the server drew the shadow root; it stays until we have something better. */
  #served = this.#root.hasChildNodes();
  #store: Store | null = null;
  /** From the first connection on; an upgrade names each attribute before it, and must not load once for each. */
  #connected = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** The address of the center document, absolute. */
  get src(): string {
    const src = this.getAttribute('src');
    return src ? new URL(src, this.baseURI).href : '';
  }

  set src(src: string) {
    this.setAttribute('src', src);
  }

  /** Whether there is something to save. */
  get dirty(): boolean {
    return !!this.#store?.draft.size;
  }

  constructor() {
    super();
    guardFrame(this, this.#root);
    this.#root.addEventListener('click', this.#onClick);
    for (const type of ['click', 'input', 'keydown']) this.#root.addEventListener(type, this.#onTouch);
  }

  connectedCallback(): void {
    this.#style();
    this.#connected = true;
    if (!this.#store) this.#start();
  }

  disconnectedCallback(): void {
    // A move in the page is no removal.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#connected = false;
      this.#stop();
    });
  }

  attributeChangedCallback(_name: string, before: string | null, after: string | null): void {
    if (!this.#connected || before === after) return;
    this.#stop();
    this.#start();
  }

  #start(): void {
    const { src } = this;
    if (!src) return;
    const client = new Client(src, this.getAttribute('locale') ?? closestLanguage(this));
    const store = new Store(client, new SessionKeeper(client.base, () => sessionStorage), (signal, detail) => {
      // A save of before may still be on its way.
      if (store === this.#store) this.#hear(store, signal, detail);
    });
    this.#store = store;
    addEventListener('online', this.#onOnline);
    this.#timer = setInterval(() => {
      if (!document.hidden) void store.tend();
    }, 10_000);
    void store.load(takeCode(client.base, location, history));
  }

  #stop(): void {
    this.#store?.stop();
    this.#store = null;
    clearInterval(this.#timer);
    removeEventListener('online', this.#onOnline);
    removeEventListener('beforeunload', beforeUnload);
  }

  readonly #onTouch = () => {
    if (this.#store) this.#store.touched = true;
  };

  readonly #onOnline = () => void this.#store?.retry();

  /** A `#path` names a field in our root, where the page's own fragment does not reach. */
  readonly #onClick = (event: Event) => {
    const path = (event.target as Element).closest('a')?.getAttribute('href') ?? '';
    if (!path.startsWith('#')) return;
    event.preventDefault();
    const field = this.#root.getElementById(path.slice(1));
    const inputs = 'input, select, textarea, button';
    (field?.matches(inputs) ? field : field?.querySelector<HTMLElement>(inputs))?.focus();
  };

  #hear(store: Store, signal?: Signal, detail?: object): void {
    if (!signal) this.#draw(store);
    else if (signal === 'exported') download(detail);
    // After what the person did failed, the focus goes to where it says why.
    else if (signal === 'refused')
      (this.#root.getElementById('summary') ?? this.#root.getElementById('notice'))?.focus();
    else this.dispatchEvent(new CustomEvent(`preference-center-${signal}`, { detail, bubbles: true, composed: true }));
  }

  #draw(store: Store): void {
    if (this.#served) {
      if (!store.document) return;
      this.#root.replaceChildren();
      this.#served = false;
    }
    const focused = this.#root.activeElement as HTMLElement | null;
    const section = focused?.closest('section');
    render(<App store={store} />, this.#root);
    // What has the focus may have been moved past a neighbour that came or went, and lost it on the way.
    if (focused?.isConnected && !this.#root.activeElement) focused.focus();
    // A button that its own action removed must not take the focus with it, nor a field that is locked now.
    if (focused && (!focused.isConnected || (focused.matches(':disabled') && !store.open)))
      (
        section?.querySelector<HTMLElement>('button:enabled') ??
        this.#root.querySelector<HTMLElement>(
          store.phase === 'new' ? 'section :is(input, select, textarea)' : '[part=save], #notice',
        )
      )?.focus();
    const { busy: saving, offline, phase, outcome } = store;
    const states = { dirty: this.dirty, saving, saved: outcome?.saved, offline, expired: phase === 'expired' };
    try {
      for (const [name, on] of Object.entries(states)) this.#internals.states[on ? 'add' : 'delete'](name);
    } catch {
      // Browsers before Chromium 125 and Firefox 126: only a host's style sheet misses these.
    }
    (this.dirty ? addEventListener : removeEventListener)('beforeunload', beforeUnload);
  }

  /** A sheet belongs to one document, and the element may have moved to another; it lost its sheets then. */
  #style(): void {
    if (this.#root.adoptedStyleSheets.length) return;
    const { ownerDocument } = this;
    const view = ownerDocument === document ? window : (ownerDocument.defaultView ?? window);
    const sheet = new view.CSSStyleSheet();
    sheet.replaceSync(css);
    this.#root.adoptedStyleSheets = [sheet];
  }
}

function closestLanguage(element: Element): string {
  for (let at: Element | undefined = element; at; at = (at.getRootNode() as ShadowRoot).host) {
    const found = at.closest('[lang]');
    if (found) return found.getAttribute('lang') ?? '';
  }
  return '';
}

/** Only while there is something to lose: a page with this listener is not kept for the way back. */
function beforeUnload(event: Event): void {
  event.preventDefault();
}

function download(data: unknown): void {
  const link = Document.prototype.createElement.call(document, 'a') as HTMLAnchorElement;
  link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: 'application/json' }));
  link.download = 'preferences.json';
  link.click();
  URL.revokeObjectURL(link.href);
}
