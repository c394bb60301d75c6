import type { ActionControl, Block, CenterDocument, Control } from './api/types.ts';
import { Field, tell } from './controls/field.tsx';
import { AnyControl } from './controls/index.tsx';
import { draw } from './rich-text.tsx';
import { ADDRESS, type Store } from './state/store.ts';
import { Fragment, h } from './view.ts';

interface Props {
  store: Store;
}

/** The whole view as a function of the store; the element draws it again after each change. */
export function App({ store }: Props) {
  const { document } = store;
  return (
    <div class="center" lang={document?.locale} dir={document?.direction}>
      {/* Until the document is there, and when it never comes, the host page's own children show. */}
      {document ? <Form document={document} store={store} /> : <slot />}
      <Foot store={store} />
    </div>
  );
}

function Form({ document, store }: Props & { document: CenterDocument }) {
  const { locale, direction, title, blocks } = document;
  const outlook = store.preferences?.outlook;
  return (
    <form
      id="form"
      part="form"
      lang={locale}
      dir={direction}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        store.submit();
      }}
    >
      <header>
        <h2 part="heading">{title}</h2>
        <SignedInAs store={store} />
        <WayOut blocks={blocks} store={store} />
      </header>
      <Notice store={store} />
      <Summary store={store} />
      {outlook && <Lines title={store.labels.outlook_title} lines={outlook} />}
      {!blocks[0] && <a href={store.page}>{store.labels.own_page}</a>}
      {blocks.map((block) => (
        <Section key={block.id} block={block} store={store} />
      ))}
      {store.phase === 'new' && <Address store={store} />}
      <Lines title={store.outcome?.text} lines={store.outcome?.applied} />
    </form>
  );
}

function SignedInAs({ store }: Props) {
  const email = store.preferences?.contact.email;
  const [before, after] = (store.labels.signed_in_as ?? '').split('{email}');
  return email && after !== undefined ? (
    <p class="help">
      {before}
      <bdi>{email}</bdi>
      {after}
    </p>
  ) : null;
}

/** Where the button that leaves everything stands further down: three keys are enough to press it (WCAG, LW-03). */
function WayOut({ blocks, store }: Props & { blocks: readonly Block[] }) {
  const way =
    store.open &&
    blocks
      .slice(1)
      .flatMap((block) => shownOf(block, store))
      .find(
        ({ control }) => (control as ActionControl).style === 'danger' && (control as ActionControl).do !== 'erase',
      );
  return way ? (
    <p class="help">
      <a href={`#${way.path}`}>{way.control.label}</a>
    </p>
  ) : null;
}

/** The controls of a block that are on screen. */
function shownOf({ id, controls }: Block, store: Store) {
  return store.isShown({ path: id, when: null })
    ? controls
        .map((control) => ({ control, path: `${id}.${control.name}`, when: control.when }))
        .filter((part) => store.isShown(part))
    : [];
}

/** Why nothing can be changed now, and what to do about it. */
function Notice({ store }: Props) {
  const { open, phase, labels } = store;
  if (open || phase === 'loading') return null;
  return (
    <div id="notice" part="notice" tabIndex={-1}>
      {phase === 'expired' && <p class="label">{labels.expired_title}</p>}
      <p>{phase === 'expired' ? labels.expired_text : phase === 'closed' ? labels.open_link : labels.load_failed}</p>
      {phase === 'failed' ? (
        <button type="button" class="button" onClick={() => void store.retry()}>
          {labels.retry}
        </button>
      ) : (
        labels.request_link && (
          <>
            <Address store={store} />
            <button type="submit" class="button primary" aria-disabled={`${store.busy}`}>
              {labels.request_link}
            </button>
          </>
        )
      )}
      {phase === 'closed' && labels.sign_up && (
        <button type="button" class="button" onClick={() => store.signUp()}>
          {labels.sign_up}
        </button>
      )}
    </div>
  );
}

/** To whom a link, or the mail of a sign-up, goes. What is typed waits in the store and changes nothing on screen. */
function Address({ store }: Props) {
  const control = { label: store.labels.your_email, required: true } as Control;
  return (
    <Field control={control} path={ADDRESS} store={store}>
      <input
        id={ADDRESS}
        type="email"
        autocomplete="email"
        value={store.email}
        aria-required="true"
        {...tell(store, ADDRESS, {}).aria}
        onInput={(event) => {
          store.email = event.currentTarget.value;
        }}
      />
    </Field>
  );
}

/** What is wrong, with links to where. The alert is an inner node: JAWS skips an alert that has the focus itself. */
function Summary({ store }: Props) {
  if (!store.errors.size) return null;
  return (
    <div id="summary" part="summary" tabIndex={-1}>
      <div role="alert">
        <h3>{store.labels.error_title}</h3>
        <ul>
          {[...store.errors].map(([path, messages]) => {
            const label = path === ADDRESS ? store.labels.your_email : store.leaves.get(path)?.label;
            const text = messages.join(' ');
            return <li>{label ? <a href={`#${path}`}>{`${label}: ${text}`}</a> : text}</li>;
          })}
        </ul>
      </div>
    </div>
  );
}

function Lines({ title, lines }: { title: string | undefined; lines: readonly { text: string }[] | undefined }) {
  return lines?.length ? (
    <div part="notice">
      <p class="label">{title}</p>
      <ul>
        {lines.map(({ text }) => (
          <li>{text}</li>
        ))}
      </ul>
    </div>
  ) : null;
}

function Section({ block, store }: Props & { block: Block }) {
  const { id, heading, text } = block;
  const controls = shownOf(block, store);
  if (!store.isShown({ path: id, when: null }) || !(heading || text?.length || controls.length)) return null;
  return (
    <section part="block" aria-labelledby={heading ? `${id}.heading` : undefined}>
      {heading && (
        <h3 id={`${id}.heading`} part="title">
          {heading}
        </h3>
      )}
      {text?.length ? <div class="text">{draw(text, store.page)}</div> : null}
      {controls.map(({ control, path }) => (
        <AnyControl key={path} control={control} path={path} store={store} heading={heading} />
      ))}
    </section>
  );
}

/** The status line, there from the first draw, and the buttons. It stays in sight while there is something to say. */
function Foot({ store }: Props) {
  const { open, labels, outcome, busy, phase } = store;
  const dirty = store.draft.size > 0;
  const text = busy
    ? open && labels.saving
    : phase === 'loading'
      ? labels.loading
      : open && store.endsSoon
        ? labels.ends_soon
        : outcome
          ? outcome.text
          : open && dirty && labels.unsaved;
  return (
    <div class={text && phase !== 'loading' ? 'foot up' : 'foot'}>
      <div role="status" part="status">
        {text}
        {/* What was done stands in the form; here it is said. What was not done as wished is shown here, too. */}
        <span class="unseen">{outcome?.applied?.map(({ text }) => ` ${text}. `)}</span>
        {outcome?.merged?.length ? (
          <>
            <p class="label">{labels.merged_title}</p>
            {outcome.merged.map(({ text }) => (
              <p>{text}</p>
            ))}
          </>
        ) : null}
      </div>
      {open && store.leaves.size > 0 && (
        <div part="actions">
          {(dirty || phase === 'new') && (
            <button type="button" part="discard" class="button" onClick={() => store.discard()}>
              {labels.discard}
            </button>
          )}
          <button type="submit" form="form" part="save" class="button primary" aria-disabled={`${busy}`}>
            {phase === 'new' ? labels.sign_up : labels.save}
          </button>
        </div>
      )}
    </div>
  );
}
