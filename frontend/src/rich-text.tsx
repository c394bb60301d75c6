import type { Tree, TreeNode } from './api/types.ts';
import { safeUrl } from './url.ts';
import { type Child, h } from './view.ts';

const TAGS = /^(p|br|strong|em|b|i|u|ul|ol|li|a|blockquote|h[2-4])$/;

/** Draws a sanitised tree. What is not in the list is dropped all the same: the server's word is not taken for it. */
export function draw(tree: Tree | null | undefined, base: string): Child[] {
  return (tree ?? []).map((node) => drawNode(node, base));
}

function drawNode(node: TreeNode, base: string): Child {
  if (typeof node === 'string') return node;
  const [tag, attributes, ...children] = Array.isArray(node) ? node : [''];
  if (!TAGS.test(tag)) return null;
  return h(
    // Headings go below ours: the title is a h2, a block has a h3.
    tag.replace(/^h./, (heading) => `h${+heading.slice(1) + 2}`),
    tag === 'a' ? { href: safeUrl(attributes?.href, base), title: attributes?.title, rel: 'noopener' } : null,
    ...draw(children, base),
  );
}
