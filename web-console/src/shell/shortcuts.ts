/** Keys of the keyboard: one listener, and a list of what there is for the help. */
import { onScopeDispose, shallowReactive } from 'vue'
import type { TextKey } from '@/i18n'

export interface Shortcut {
  /** `?`, `r`, `ctrl+k`, or two after each other: `g j`. */
  keys: string
  text: TextKey
  act: () => void
}

const shortcuts = shallowReactive(new Set<Shortcut>())
/** The second key of two comes within this time. */
const PAIR_MS = 1_200
let first: { key: string; at: number } | null = null

/** Offers a shortcut as long as the component lives. */
export function useShortcut(keys: string, text: TextKey, act: () => void): void {
  const shortcut = { keys, text, act }
  shortcuts.add(shortcut)
  onScopeDispose(() => shortcuts.delete(shortcut))
}

export function allShortcuts(): Shortcut[] {
  return [...shortcuts]
}

/** Which shortcut this key completes; a first half is kept for the next key. */
export function match(key: string, now: number, known: Iterable<Shortcut>): Shortcut | null {
  const pair = first && now - first.at < PAIR_MS ? `${first.key} ${key}` : null
  first = null
  const all = [...known]
  const found = all.findLast((shortcut) => shortcut.keys === pair) ?? all.findLast((shortcut) => shortcut.keys === key)
  if (found) return found
  if (all.some((shortcut) => shortcut.keys.startsWith(`${key} `))) first = { key, at: now }
  return null
}

/** Whoever types into a field means the field; whoever has a dialog open means the dialog. */
function isElsewhere(event: KeyboardEvent): boolean {
  const at = event.target instanceof HTMLElement ? event.target : null
  if (at?.closest('input, textarea, select, [contenteditable], [role="dialog"], [role="menu"], [role="listbox"]')) return true
  return document.querySelector('[role="dialog"][data-state="open"]') !== null
}

export function listenForShortcuts(): void {
  addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.altKey || event.isComposing) return
    const withControl = event.ctrlKey || event.metaKey
    if (!withControl && isElsewhere(event)) return
    const shortcut = match(withControl ? `ctrl+${event.key.toLowerCase()}` : event.key, event.timeStamp, shortcuts)
    if (!shortcut) return
    event.preventDefault()
    shortcut.act()
  })
}
