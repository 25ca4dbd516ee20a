/** A Chromium of the system's: Playwright's own isn't downloaded. */
import { execFileSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

function find(): string | undefined {
  const said = process.env.CODEX_K8S_CHROMIUM
  if (said) return said
  const folders = (process.env.PATH ?? '').split(delimiter)
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((file) => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Its program; installed first where that is possible, else the error says what to do. */
export function chromium(): string {
  const found = find()
  if (found) return found
  if (process.getuid?.() === 0) {
    try {
      console.log('installing Chromium by apt-get (once)')
      const quiet = { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } } as const
      execFileSync('apt-get', ['update', '-q'], quiet)
      execFileSync('apt-get', ['install', '-qy', '--no-install-recommends', 'chromium'], quiet)
    } catch {
      // Said below.
    }
  }
  const installed = find()
  if (installed) return installed
  throw new Error(
    'The tests in a real browser need a Chromium, and none was found: install the package `chromium` (Debian, Ubuntu: ' +
      'sudo apt-get install chromium), or name the program of one in CODEX_K8S_CHROMIUM.',
  )
}
