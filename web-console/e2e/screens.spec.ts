import { mkdirSync } from 'node:fs'
import { expect, settled, test, violations } from './console'
import { screens } from './places'

const SHOTS = 'dist/e2e/screens'

/** Each language in one theme, and each theme in one language. */
for (const [theme, locale, letters] of [['light', 'en-US', /[A-z]/], ['dark', 'ru-RU', /[А-я]/]] as const) {
  test(`every screen is sound for everybody, ${theme}, ${locale}`, async ({ also }) => {
    test.setTimeout(300_000)
    const page = await also('olga', '/jobs', { locale, colorScheme: theme, reducedMotion: 'reduce' })
    await expect(page.locator('html')).toHaveAttribute('lang', locale.slice(0, 2))
    mkdirSync(SHOTS, { recursive: true })
    const wrong: string[] = []
    for (const path of await screens(page)) {
      await page.goto(path)
      await settled(page)
      await expect(page).toHaveTitle(letters)
      const name = path.replace(/^\/$/, 'home').replace(/^\//, '').replaceAll('/', '-')
      await page.screenshot({ path: `${SHOTS}/${name}.${theme}.png` })
      for (const violation of await violations(page)) wrong.push(`${path}: ${violation}`)
      await expect(page.getByRole('alert')).toHaveCount(0)
    }
    expect(wrong).toEqual([])
  })
}
