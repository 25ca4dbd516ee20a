/**
 * What the component library hides from screen readers when something opens above the page. It stands in for the module
 * of the same purpose that the library asks for (`vite.config.ts`), and differs in one thing: a menu or a list of
 * choices is no dialog. Hiding the whole page behind one, as the library does, leaves a page without heading or main
 * part, full of buttons that can be focused and aren't told of.
 */
import { hideOthers as hideAll } from 'aria-hidden/dist/es2015/index.js'

export function hideOthers(shown: Element): () => void {
  return shown.closest('[role="menu"], [role="listbox"]') ? () => {} : hideAll(shown)
}
