import axe from 'axe-core';
import { afterEach, describe, expect, test } from 'vitest';
import { cdp, page } from 'vitest/browser';
import { problem } from '../../dev/fake-server.ts';
import { center, centerInArabic } from '../center.ts';
import { type Mounted, mount, saved } from './mount.ts';

const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

async function violations({ element }: Mounted): Promise<string[]> {
  const { violations } = await axe.run(element, {
    runOnly: tags,
    // Of the page around us, not of us.
    rules: { region: { enabled: false }, 'page-has-heading-one': { enabled: false } },
  });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join('\n')}`);
}

async function emulate(features: Record<string, string>): Promise<void> {
  const list = Object.entries(features).map(([name, value]) => ({ name, value }));
  await (cdp() as unknown as { send(method: string, params: object): Promise<void> }).send(
    'Emulation.setEmulatedMedia',
    { features: list },
  );
}

afterEach(async () => {
  await page.viewport(900, 800);
  await emulate({});
});

const views: Record<string, Parameters<typeof mount>[0] & { after?: (mounted: Mounted) => void }> = {
  'in English': {},
  'in Arabic, right to left': { document: centerInArabic },
  'in the light theme': { attributes: { theme: 'light' } },
  'in the dark theme': { attributes: { theme: 'dark' } },
  'without a session': { code: null },
  'while somebody signs up': { code: null, after: ({ one }) => one('#notice [type=button]').click() },
  'with a link that has expired': {
    change: (server) => {
      server.override = ({ path }) => (path === 'sessions/' ? problem(401) : null);
    },
  },
  'with a failure': {
    until: 'preference-center-failed',
    change: (server) => {
      server.override = ({ path }) => (path === 'sessions/' ? problem(500) : null);
    },
  },
};

describe.each([900, 320])('at a width of %i, axe finds nothing', (width) => {
  test.each(Object.entries(views))('%s', async (_name, { after, ...options }) => {
    await page.viewport(width, 800);
    const mounted = await mount(options);
    after?.(mounted);
    expect(await violations(mounted)).toEqual([]);
    expect(document.documentElement.scrollWidth).toBeLessThanOrEqual(width);
  });

  test('on a dark page that says nothing of it', async () => {
    await page.viewport(width, 800);
    document.body.style.cssText = 'background: #12151c; color: #e6e8ef';
    const mounted = await mount();
    mounted.field('topics.choices.news.sms').click();
    expect(await violations(mounted)).toEqual([]);
  });

  test('in the colours of the system', async () => {
    await page.viewport(width, 800);
    await emulate({ 'prefers-color-scheme': 'dark' });
    const mounted = await mount({ attributes: { theme: 'auto' } });
    expect(getComputedStyle(mounted.element).backgroundColor).toBe('rgb(20, 23, 31)');
    expect(await violations(mounted)).toEqual([]);
  });

  test('with forced colours', async () => {
    await page.viewport(width, 800);
    await emulate({ 'forced-colors': 'active' });
    const mounted = await mount();
    expect(await violations(mounted)).toEqual([]);
  });

  test('after a save', async () => {
    await page.viewport(width, 800);
    const mounted = await mount();
    mounted.field('topics.choices.news.sms').click();
    mounted.save();
    await saved(mounted);
    expect(await violations(mounted)).toEqual([]);
  });

  test('with errors', async () => {
    await page.viewport(width, 800);
    const mounted = await mount();
    const errors = { topics: { 'choices.news.sms': ['No number.'] }, profile: { first_name: ['Who?'] } };
    mounted.server.override = ({ method }) => (method === 'PATCH' ? problem(422, { errors }) : null);
    mounted.field('topics.choices.news.sms').click();
    mounted.save();
    await saved(mounted);
    expect(await violations(mounted)).toEqual([]);
  });
});

test('a narrow container draws rows as cards, and they are a table still', async () => {
  await page.viewport(320, 800);
  const { one } = await mount();
  expect(getComputedStyle(one('tbody tr:not(.group)')).display).toBe('grid');
  await expect
    .element(
      page
        .getByRole('table')
        .first()
        .getByRole('rowheader', { name: /^Product news/ }),
    )
    .toBeInTheDocument();
  await expect.element(page.getByRole('checkbox', { name: 'Product news E-mail' })).toBeInTheDocument();
  await expect.element(page.getByText('SMS', { exact: true }).nth(1)).toBeVisible();
});

test('larger text and wider spacing cut nothing off (WCAG 1.4.4, 1.4.12)', async () => {
  await page.viewport(640, 800);
  document.body.style.cssText = 'font-size: 200%; letter-spacing: .12em; word-spacing: .16em; line-height: 1.5';
  const { all } = await mount();
  expect(document.documentElement.scrollWidth).toBeLessThanOrEqual(640);
  for (const button of all('.button'))
    expect(button.scrollWidth, button.textContent).toBeLessThanOrEqual(button.clientWidth + 1);
  expect(center.blocks.length).toBeGreaterThan(0);
});
