import { createElement, type VNode } from 'preact';
import type { Tree, TreeNode } from './api/types.ts';

/** What the tree may hold, and what it becomes: headings go below ours (title h2, block h3). */
const TAGS = new Map(
  ['p', 'br', 'strong', 'em', 'b', 'i', 'u', 'ul', 'ol', 'li', 'a', 'blockquote'].map((tag) => [tag, tag]),
)
  .set('h2', 'h4')
  .set('h3', 'h5')
  .set('h4', 'h6');

/** The absolute address, if its scheme cannot run anything. Parsed once, by the parser that the browser uses. */
export function safeUrl(href: unknown, base: string, schemes = /^(https?|mailto|tel):$/): string | undefined {
  try {
    const url = new URL(String(href), base);
    return schemes.test(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

export const safeImage = (src: unknown, base: string) => safeUrl(src, base, /^https?:$/);

/** Draws a sanitised tree, and drops what is not in the list all the same. */
export function RichText({ tree, base }: { tree: Tree | null | undefined; base: string }) {
  return <>{tree?.map((node) => draw(node, base))}</>;
}

function draw(node: TreeNode, base: string): VNode | string | null {
  if (typeof node === 'string') return node;
  if (!Array.isArray(node)) return null;
  const [name, attributes, ...children] = node;
  const tag = TAGS.get(name);
  if (!tag) return null;
  const props =
    tag === 'a' ? { href: safeUrl(attributes?.href, base), title: attributes?.title, rel: 'noopener' } : null;
  return createElement(tag, props, ...children.map((child: TreeNode) => draw(child, base)));
}
