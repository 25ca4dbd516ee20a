/** Light, dark or the system's. `public/theme.js` sets it before the first paint. */
import { ref, watchEffect } from 'vue'

export type Theme = 'system' | 'light' | 'dark'
export const THEMES: readonly Theme[] = ['system', 'light', 'dark']

const KEPT = 'codex-k8s-theme'
const system = matchMedia('(prefers-color-scheme: dark)')
const isSystemDark = ref(system.matches)
system.addEventListener('change', (event) => (isSystemDark.value = event.matches))

const kept = localStorage.getItem(KEPT)
export const theme = ref<Theme>(THEMES.find((name) => name === kept) ?? 'system')

watchEffect(() => {
  const dark = theme.value === 'dark' || (theme.value === 'system' && isSystemDark.value)
  document.documentElement.classList.toggle('dark', dark)
})

export function setTheme(to: Theme): void {
  theme.value = to
  localStorage.setItem(KEPT, to)
}
