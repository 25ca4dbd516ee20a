import type { Page } from '@playwright/test'
import { expect, settled, test } from './console'
import { product } from './product'
import { screens } from './places'

test('palette, help and places by keys alone; the focus comes back', async ({ as }) => {
  const page = await as('olga', '/')
  const search = page.getByRole('button', { name: /^Search/ })
  await settled(page)
  await search.focus()
  await page.keyboard.press('Control+k')
  const dialog = page.getByRole('dialog')
  await expect(dialog).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(dialog).toHaveCount(0)
  await expect(search).toBeFocused()
  await page.keyboard.press('Control+k')
  await expect(dialog.locator('input')).toBeFocused()
  await page.keyboard.type('dead')
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/\/jobs\?state=dead/)
  await page.keyboard.press('?')
  await expect(dialog.getByText('Change many')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(dialog).toHaveCount(0)
  await page.keyboard.press('g')
  await page.keyboard.press('j')
  await expect(page).toHaveURL(/\/jobs$/)
  await page.getByRole('searchbox', { name: 'Kind' }).focus()
  await page.keyboard.type('?gr')
  await expect(dialog, 'who types means the field').toHaveCount(0)
  await expect(page).toHaveURL(/\/jobs\?kind=%3Fgr|\/jobs\?kind=\?gr/)
})

test('a list is walked, its rows ticked and opened by keys', async ({ as }) => {
  const page = await as('olga', '/jobs')
  const at = (index: number) => page.locator(`[data-index="${index}"]`)
  await at(0).focus()
  for (const [key, index] of [['ArrowDown', 1], ['j', 2], ['k', 1], ['PageDown', 16], ['Home', 0]] as const) {
    await page.keyboard.press(key)
    await expect(at(index), key).toBeFocused()
  }
  await page.keyboard.press('Space')
  await expect(at(0)).toHaveAttribute('aria-selected', 'true')
  await expect(page.getByRole('button', { name: '1 selected job' })).toBeVisible()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: /^Job \d+/ })).toBeVisible()
  await expect(page.locator('#main'), 'the keyboard begins at the top of the new page').toBeFocused()
})

test('a job is opened, asked about and left alone without a mouse', async ({ as }) => {
  const { items } = await product.api<{ items: { id: number }[] }>('jobs?state=dead&limit=1')
  const page = await as('olga', `/jobs/${items[0]?.id}`)
  const retry = page.getByRole('button', { name: 'Retry' })
  await expect(retry).toBeVisible()
  await page.locator('#main').focus()
  await expect
    .poll(async () => {
      await page.keyboard.press('Tab')
      return await retry.evaluate((button) => button === document.activeElement)
    }, { intervals: [10] })
    .toBe(true)
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog')
  await expect(dialog).toBeVisible()
  // The focus stays within.
  for (let presses = 0; presses < 8; presses++) {
    await page.keyboard.press('Tab')
    expect(await dialog.evaluate((box) => box.contains(document.activeElement))).toBe(true)
  }
  await page.keyboard.press('Escape')
  await expect(dialog).toHaveCount(0)
  await expect(retry).toBeFocused()
})

/** Presses Tab through the main part; what could not be reached, or could not be seen to be. */
async function walk(page: Page): Promise<string[]> {
  // A page that was just drawn may take the focus for itself once more.
  await expect(async () => {
    await page.locator('#main').focus()
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.querySelector('#main :focus') !== null)).toBe(true)
  }).toPass()
  await page.locator('#main').focus()
  // What comes while we walk, told live, may come behind us.
  await page.evaluate(() => Object.assign(window, { reached: new Set<Element>(), there: new Set(document.querySelectorAll('#main *')) }))
  const wrong: string[] = []
  for (let presses = 0; presses < 250; presses++) {
    await page.keyboard.press('Tab')
    const step = await page.evaluate(() => {
      const { reached } = window as unknown as { reached: Set<Element> }
      const at = document.activeElement
      if (!at || !document.getElementById('main')?.contains(at) || reached.has(at)) return null
      reached.add(at)
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(at)
      const box = at.getBoundingClientRect()
      const isInView = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth
      const isMarked = (outlineStyle !== 'none' && parseFloat(outlineWidth) > 0) || boxShadow !== 'none'
      return { isSeen: isInView && isMarked, name: at.outerHTML.slice(0, 160) }
    })
    if (!step) break
    if (!step.isSeen) wrong.push(`the focus isn't seen: ${step.name}`)
  }
  const missed = await page.evaluate(() => {
    const { reached, there } = window as unknown as { reached: Set<Element>; there: Set<Element> }
    const all = document.querySelectorAll<HTMLElement>('#main :is(a[href], button, input, select, textarea, summary, [tabindex="0"])')
    return [...all]
      .filter((one) => there.has(one) && !one.matches(':disabled') && one.checkVisibility({ visibilityProperty: true }) && !reached.has(one))
      // Links and boxes of a row are what Enter and Space do on it; what is below the fold has a row like those above it.
      .filter((one) => !(one.tabIndex < 0 && one.closest('[role="row"], #log') && one.matches('a, input')))
      .filter((one) => Number(one.closest<HTMLElement>('[data-index]')?.dataset.index ?? 0) < 5)
      .map((one) => one.outerHTML.slice(0, 160))
  })
  return [...wrong, ...missed.map((one) => `not reached: ${one}`)]
}

test('every action of every screen is reached by Tab, and seen to be', async ({ as }) => {
  test.setTimeout(300_000)
  const page = await as('olga', '/jobs')
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur())
  await page.reload()
  await settled(page)
  await page.keyboard.press('Tab')
  await expect(page.getByRole('link', { name: 'Skip to content' })).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.locator('#main')).toBeFocused()
  const wrong: string[] = []
  for (const path of await screens(page)) {
    await page.goto(path)
    await settled(page)
    for (const one of await walk(page)) wrong.push(`${path}: ${one}`)
  }
  expect(wrong).toEqual([])
})
