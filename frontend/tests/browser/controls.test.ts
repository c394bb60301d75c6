import { describe, expect, test } from 'vitest';
import { page } from 'vitest/browser';
import type { CenterDocument, Control, Preferences } from '../../src/api/types.ts';
import { center } from '../center.ts';
import { fill, mount, saved, saves } from './mount.ts';

/** The center with one control only. */
function only(control: Partial<Control> & { type: string }): CenterDocument {
  const full = { name: 'x', label: 'The question', ...control } as Control;
  return { ...center, blocks: [{ id: 'b', type: 'test', heading: '', text: [], controls: [full] }] };
}

describe('a table of choices', () => {
  test('is a table with the names of topics and channels', async () => {
    await mount();
    const table = page.getByRole('table').first();
    await expect.element(table.getByRole('columnheader', { name: 'E-mail' })).toBeInTheDocument();
    await expect.element(table.getByRole('rowheader', { name: /^Product news/ })).toBeInTheDocument();
    await expect.element(table.getByRole('rowheader', { name: 'From the shop' })).toBeInTheDocument();
    await expect.element(page.getByRole('checkbox', { name: 'Product news E-mail' })).toBeChecked();
    await expect.element(page.getByRole('checkbox', { name: 'Product news SMS' })).not.toBeChecked();
  });

  test('has no box where a topic does not come by a channel', async () => {
    const { field } = await mount();
    expect(field('topics.choices.events.sms')).not.toBeNull();
    expect(field('topics.choices.events.push')).toBeNull();
  });

  test('is saved cell by cell', async () => {
    const mounted = await mount();
    mounted.field('topics.choices.news.sms').click();
    mounted.field('topics.choices.news.email').click();
    mounted.save();
    await saved(mounted);
    expect(saves(mounted)[0]?.answers).toEqual({ topics: { choices: { news: { sms: true, email: false } } } });
  });

  test('keeps rows of one group together, also those that only this person sees', async () => {
    const { all } = await mount();
    const rows = all('table tr').map((row) => row.querySelector('.label')?.textContent ?? row.textContent);
    expect(rows.slice(1)).toEqual([
      'From the workshop',
      'Product news',
      'Tips and guides',
      'Events near you',
      'From the shop',
      'Offers',
      'Back in stock',
      'Orders and delivery',
      'Friends of the house',
    ]);
  });

  test('is not there for whom it has no row', async () => {
    const matrix = center.blocks.flatMap((block) => block.controls).find((one) => one.type === 'matrix');
    const { root } = await mount({ document: only({ ...matrix, rows: [] } as never) });
    expect(root.querySelector('table, fieldset')).toBeNull();
  });

  test('draws a locked row disabled, with the reason', async () => {
    const { field, root } = await mount();
    const input = field('topics.choices.orders.email');
    expect(input.disabled).toBe(true);
    expect(input.checked).toBe(true);
    const reason = root.getElementById(input.getAttribute('aria-describedby') ?? '');
    expect(reason?.textContent).toContain('Part of every order');
    expect(reason?.querySelector('[role=img]')?.getAttribute('aria-label')).toBe('Fixed');
  });

  test('draws what waits for a confirmation unticked, and says so', async () => {
    const { field, root } = await mount();
    const input = field('topics.choices.offers.email');
    expect(input.checked).toBe(false);
    expect(root.getElementById(input.getAttribute('aria-describedby') ?? '')?.textContent).toContain(
      'E-mail: please confirm with the link in our e-mail',
    );
  });

  test('leaves out rows that the server hides', async () => {
    const { field } = await mount({
      change: (server) => {
        server.preferences = { ...server.preferences, hidden: ['topics.choices.vip', 'profile.note', 'leave'] };
      },
    });
    expect(field('topics.choices.vip.email')).toBeNull();
    expect(field('profile.note')).toBeNull();
    expect(field('leave.heading')).toBeNull();
    expect(field('topics.choices.news.email')).not.toBeNull();
  });
});

describe('a list of rows', () => {
  test('has a select for each frequency, with an empty choice only before the first answer', async () => {
    const mounted = await mount();
    const everything = page.getByRole('combobox', { name: 'Everything' });
    await expect.element(everything).toHaveDisplayValue('Once a week');
    await expect.element(everything).toHaveAccessibleDescription('Unless a line below says otherwise');
    const news = mounted.field('often.frequency.topic-news') as unknown as HTMLSelectElement;
    expect(news.value).toBe('');
    expect(news.options[0]?.text).toBe('Not chosen yet');
    expect((mounted.field('often.frequency.all') as unknown as HTMLSelectElement).options).toHaveLength(4);
    fill(news, 'daily');
    mounted.save();
    await saved(mounted);
    expect(saves(mounted)[0]?.answers).toEqual({ often: { frequency: { 'topic-news': 'daily' } } });
    expect(news.options).toHaveLength(4);
  });

  test('has a box for each row, with its picture', async () => {
    const mounted = await mount();
    const price = page.getByRole('checkbox', { name: 'Price drops' });
    await expect.element(price).toBeChecked();
    await expect.element(price).toHaveAccessibleDescription('On things you saved');
    const picture = mounted.one('.line img') as HTMLImageElement;
    expect(picture.src).toBe('https://brand.example/dev/fixtures/price.svg');
    await price.click();
    mounted.save();
    await saved(mounted);
    expect(saves(mounted)[0]?.answers).toEqual({ devices: { alerts: { price: false } } });
  });

  test('shows a row only while its condition holds', async () => {
    const { field } = await mount();
    expect(field('often.frequency.topic-news')).not.toBeNull();
    field('topics.choices.news.email').click();
    expect(field('often.frequency.topic-news')).toBeNull();
  });
});

describe('a single control', () => {
  test('toggle', async () => {
    const mounted = await mount();
    const box = page.getByRole('checkbox', { name: 'Ask me for interviews' });
    await expect.element(box).toHaveAccessibleDescription('At most twice a year');
    await box.click();
    mounted.save();
    await saved(mounted);
    expect(saves(mounted)[0]?.answers).toEqual({ profile: { research: true } });
  });

  test('one of several, which shows what depends on it', async () => {
    const mounted = await mount();
    const trade = page.getByRole('radio', { name: 'A professional' });
    await expect.element(page.getByRole('group', { name: 'I am here as (required)' })).toBeInTheDocument();
    await expect.element(trade).toHaveAccessibleDescription('You will also see trade topics');
    expect(mounted.field('profile.company')).toBeNull();
    await trade.click();
    fill(mounted.field('profile.company'), 'Smith & Daughters');
    mounted.save();
    await saved(mounted);
    expect(saves(mounted)[0]?.answers).toEqual({ profile: { role: 'trade', company: 'Smith & Daughters' } });
  });

  test('many of several, in the order of the options', async () => {
    const mounted = await mount();
    await page.getByRole('checkbox', { name: 'Paper' }).click();
    await page.getByRole('checkbox', { name: 'Metal' }).click();
    mounted.save();
    await saved(mounted);
    expect(saves(mounted)[0]?.answers).toEqual({ profile: { interests: ['wood', 'metal', 'paper'] } });
  });

  test('select', async () => {
    const mounted = await mount();
    await page.getByRole('combobox', { name: 'Language' }).selectOptions('Deutsch');
    mounted.save();
    await saved(mounted);
    expect(saves(mounted)[0]?.answers).toEqual({ profile: { language: 'de' } });
  });

  test('text of one line and of several', async () => {
    const mounted = await mount();
    const name = page.getByRole('textbox', { name: 'First name (required)' });
    await expect.element(name).toHaveAttribute('aria-required', 'true');
    await expect.element(name).toHaveAttribute('maxlength', '40');
    await name.fill('Kim');
    await page.getByRole('textbox', { name: 'Anything else?' }).fill('No\nthanks');
    mounted.save();
    await saved(mounted);
    expect(saves(mounted)[0]?.answers).toEqual({ profile: { first_name: 'Kim', note: 'No\nthanks' } });
  });

  test('date, within its limits', async () => {
    const mounted = await mount();
    const date = mounted.field('profile.birthday');
    expect([date.type, date.min, date.max]).toEqual(['date', '1900-01-01', '2026-11-22']);
    fill(date, '1990-05-01');
    mounted.save();
    await saved(mounted);
    expect(saves(mounted)[0]?.answers).toEqual({ profile: { birthday: '1990-05-01' } });
  });

  test('scale, as radio buttons with a number', async () => {
    const mounted = await mount();
    await page.getByRole('radio', { name: '7', exact: true }).click();
    mounted.save();
    await saved(mounted);
    expect(saves(mounted)[0]?.answers).toEqual({ profile: { happy: 7 } });
  });

  test('scale from zero: zero is an answer', async () => {
    const mounted = await mount({ document: only({ type: 'scale' }) });
    await page.getByRole('radio', { name: '0', exact: true }).click();
    mounted.save();
    await saved(mounted);
    expect(saves(mounted)[0]?.answers).toEqual({ b: { x: 0 } });
  });

  test('e-mail address and phone number say what they are', async () => {
    const { field } = await mount({ document: only({ type: 'text', format: 'email' }) });
    expect([field('b.x').type, field('b.x').autocomplete]).toEqual(['email', 'email']);
  });

  test('what a browser may fill in by itself is named as HTML names it', async () => {
    const text = await mount({ document: only({ type: 'text', constraints: { autocomplete: 'postal-code' } }) });
    expect(text.field('b.x').autocomplete).toBe('postal-code');
    const named = { format: 'tel', constraints: { autocomplete: 'tel-national' } } as const;
    const phone = await mount({ document: only({ type: 'text', ...named }) });
    expect([phone.field('b.x').type, phone.field('b.x').autocomplete]).toEqual(['tel', 'tel-national']);
    const options = [{ key: 'AT', label: 'Austria' }];
    const country = await mount({
      document: only({ type: 'select', options, constraints: { autocomplete: 'country' } } as never),
    });
    expect(country.field('b.x').autocomplete).toBe('country');
  });

  test('locked, with the reason', async () => {
    await mount();
    const box = page.getByRole('checkbox', { name: 'Service announcements' });
    await expect.element(box).toBeDisabled();
    await expect.element(box).toHaveAccessibleDescription(/The law asks us to send these/);
  });
});

describe('personal data', () => {
  test('is masked, and to be read only, after a plain link', async () => {
    const { field } = await mount();
    expect(field('profile.email')).toMatchObject({ readOnly: true, value: 'a***@e***.org' });
  });

  test('can be changed after a fresh link', async () => {
    const { field } = await mount({
      change: (server) => {
        server.preferences = { ...server.preferences, assurance: 'fresh' };
      },
    });
    expect(field('profile.email')).toMatchObject({ readOnly: false, type: 'email' });
  });

  test('of every kind is shown as the text that the server gives', async () => {
    for (const type of ['one_of', 'many_of', 'select', 'date', 'scale', 'toggle']) {
      const { field } = await mount({
        document: only({ type, personal: true, options: [] } as never),
        change: (server) => {
          server.preferences = { ...server.preferences, answers: { b: { x: '•••' } } };
        },
      });
      expect(field('b.x'), type).toMatchObject({ readOnly: true, value: '•••' });
      document.body.replaceChildren();
    }
  });

  test('in a table is disabled', async () => {
    const matrix = center.blocks[1]?.controls[0] as Control;
    const { field } = await mount({ document: only({ ...matrix, personal: true, name: 'x' } as never) });
    expect(field('b.x.news.email').disabled).toBe(true);
  });
});

describe('what only shows something', () => {
  test('links, pictures, texts and records', async () => {
    const { one } = await mount();
    await expect
      .element(page.getByRole('link', { name: 'Mastodon' }))
      .toHaveAttribute('href', 'https://social.example/@brand');
    await expect.element(page.getByRole('img', { name: 'Our workshop' })).toBeInTheDocument();
    await expect.element(page.getByRole('heading', { name: 'Small print', level: 4 })).toBeInTheDocument();
    await expect.element(page.getByText('Subscribed to Product news')).toBeInTheDocument();
    expect(one('time').getAttribute('datetime')).toBe('2026-11-02T08:00:00Z');
    expect(one('time').textContent).toContain('November 2, 2026');
  });

  test('records draw no list where there is none, and keep their help', async () => {
    const none: NonNullable<Preferences['records']>[] = [{}, { b: [] }, { other: [{ title: 'Elsewhere' }] }];
    for (const records of none) {
      const { one } = await mount({
        document: only({ type: 'records', help: 'What was saved here' }),
        change: (server) => {
          server.preferences = { ...server.preferences, records };
        },
      });
      const field = one('[part=field]');
      expect(field.querySelector('ol')).toBeNull();
      expect(field.textContent).toBe('The questionWhat was saved here');
      document.body.replaceChildren();
    }
  });

  test('a control of a newer server is named, and leads to the own page', async () => {
    await mount();
    await expect.element(page.getByText('Hologram greeting')).toBeInTheDocument();
    await expect
      .element(page.getByRole('link', { name: 'Answer this on our own page' }))
      .toHaveAttribute('href', center.page_url);
  });

  test('a hostile tree draws text and nothing else', async () => {
    const { one, root } = await mount({
      document: only({
        type: 'rich_text',
        content: [
          ['script', {}, 'alert(1)'],
          ['p', { onclick: 'alert(1)', style: 'color:red' }, 'Text ', ['a', { href: 'javascript:alert(1)' }, 'link']],
          ['img', { src: 'x', onerror: 'alert(1)' }],
          ['a', { href: '/relative', title: 'Tip', target: '_top' }, 'good'],
          ['ul', {}, ['li', {}, '<b>not bold</b>']],
          { tag: 'p' },
          null,
          7,
        ] as never,
      }),
    });
    expect(root.querySelector('script, img, b')).toBeNull();
    expect(one('.text p').getAttributeNames()).toEqual([]);
    expect(one('.text p a').hasAttribute('href')).toBe(false);
    const good = one('.text > a');
    expect(good.getAttribute('href')).toBe('https://brand.example/relative');
    expect(good.getAttributeNames().sort()).toEqual(['href', 'rel', 'title']);
    expect(one('.text li').textContent).toBe('<b>not bold</b>');
  });

  test('hostile links and pictures lead nowhere', async () => {
    const { one } = await mount({
      document: only({ type: 'links', items: [{ label: 'Bad', href: 'javascript:alert(1)' }] } as never),
    });
    expect(one('ul a').hasAttribute('href')).toBe(false);
    document.body.replaceChildren();
    const image = await mount({
      document: only({ type: 'image', media: { src: 'data:image/svg+xml,<svg/>', alt: 'x', width: 1, height: 1 } }),
    });
    expect(image.root.querySelector('img')).toBeNull();
  });
});

describe('an action', () => {
  test('works at once and alone, keeps what was edited, and keeps the focus near', async () => {
    const mounted = await mount();
    mounted.field('topics.choices.news.sms').click();
    const leave = mounted.one('[part~=leave]');
    leave.focus();
    leave.click();
    await saved(mounted);
    expect(saves(mounted)[0]?.answers).toEqual({ leave: { opted_out: true } });
    expect(mounted.field('topics.choices.news.sms').checked).toBe(true);
    expect(mounted.element.dirty).toBe(true);
    expect(mounted.root.activeElement?.textContent).toBe('Let me subscribe again');
    await expect.element(page.getByRole('group', { name: 'Why do you leave?' })).toBeInTheDocument();
  });

  test('undo is there for what this page saved, and for a record', async () => {
    const undo = only({ type: 'action', label: 'Undo', do: 'undo' });
    const mounted = await mount({ document: { ...undo, blocks: [...undo.blocks, ...center.blocks] } });
    const button = mounted.one('[part=action]') as HTMLButtonElement;
    expect(button.disabled).toBe(true);
    mounted.field('topics.choices.news.sms').click();
    mounted.save();
    await saved(mounted);
    button.click();
    await expect
      .poll(() => mounted.server.sent('POST', 'preferences/undo/')[0]?.body)
      .toEqual({ receipt: 'receipt-8' });
    await expect.poll(() => mounted.states()).not.toContain('saving');
    (mounted.one('.records button') as HTMLButtonElement).click();
    await expect.poll(() => mounted.server.sent('POST', 'preferences/undo/')[1]?.body).toEqual({ receipt: '019a-1' });
  });

  test('step up tells what the server says', async () => {
    const mounted = await mount();
    await page.getByRole('button', { name: 'Show and change personal data' }).click();
    await expect.poll(mounted.status).toBe('We have sent you an e-mail.');
  });

  test('asking for a link is a link, also without a session', async () => {
    await mount({ document: only({ type: 'action', label: 'Link, please', do: 'request_link' }), code: null });
    await expect.element(page.getByRole('link', { name: 'Link, please' })).toHaveAttribute('href', center.page_url);
  });

  test('export saves a file', async () => {
    const names: string[] = [];
    const click = HTMLAnchorElement.prototype.click;
    HTMLAnchorElement.prototype.click = function () {
      names.push(`${this.download} ${this.href.slice(0, 5)}`);
    };
    await mount({ document: only({ type: 'action', label: 'My data', do: 'export' }) });
    await page.getByRole('button', { name: 'My data' }).click();
    await expect.poll(() => names).toEqual(['preferences.json blob:']);
    HTMLAnchorElement.prototype.click = click;
  });

  test('erase is asked once more', async () => {
    const answers = [false, true];
    const asked: unknown[] = [];
    const confirm = window.confirm;
    window.confirm = (text) => {
      asked.push(text);
      return answers.shift() ?? false;
    };
    const { server, one } = await mount({ document: only({ type: 'action', label: 'Erase me', do: 'erase' }) });
    one('[part=action]').click();
    one('[part=action]').click();
    await expect.poll(() => server.sent('POST', 'preferences/erasure/')).toHaveLength(1);
    expect(asked).toEqual(['Erase me', 'Erase me']);
    window.confirm = confirm;
  });

  test('that is locked says why', async () => {
    const { one } = await mount({ document: only({ type: 'action', do: 'undo', locked: 'Too old' }) });
    expect((one('[part=action]') as HTMLButtonElement).disabled).toBe(true);
    expect(one('.locked').textContent).toBe('Too old');
  });
});
