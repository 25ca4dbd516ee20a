/** What opens above a screen is as sound for everybody as the screen: dialogs, menus, lists, notices. */
import { mkdirSync } from 'node:fs'
import type { Page } from '@playwright/test'
import { expect, settled, test, violations } from './console'
import { product } from './product'

const SHOTS = 'dist/e2e/screens'
test.use({ tolerated: /net::ERR_INTERNET_DISCONNECTED/ })

type Open = (page: Page) => Promise<unknown>
const press = (name: string | RegExp): Open => (page) => page.getByRole('button', { name, exact: typeof name === 'string' }).first().click()
const dialog = (page: Page) => page.getByRole('dialog').last()

const notice: Open = async (page) => {
  await press('Priority')(page)
  await dialog(page).getByRole('button', { name: 'Priority' }).click()
  await expect(page.getByText(/^Job \d+ has a new priority$/).first()).toBeVisible()
}

/** Where, what opens there, and how. */
function overlays(job: number, running: number, delivery: string): [path: string, what: string, open: Open][] {
  return [
    ['/jobs', 'the palette', (page) => page.keyboard.press('Control+k')],
    ['/jobs', 'the palette, searched', async (page) => {
      await page.keyboard.press('Control+k')
      await dialog(page).locator('input').fill('dead')
    }],
    ['/jobs', 'the help', (page) => page.keyboard.press('?')],
    ['/jobs', 'the menu of the person', press(/^Menu of/)],
    ['/jobs', 'its menu of themes', async (page) => {
      await press(/^Menu of/)(page)
      await page.getByRole('menuitem', { name: 'Theme' }).press('ArrowRight')
      await expect(page.getByRole('menuitemcheckbox', { name: 'Dark' })).toBeVisible()
    }],
    ['/jobs', 'the choice of a state', (page) => page.getByRole('combobox', { name: 'State' }).click()],
    ['/jobs', 'more filters', press('Filter')],
    ['/jobs', 'a change of many', press('Change many')],
    ['/jobs', 'a choice within a dialog', async (page) => {
      await press('Change many')(page)
      await dialog(page).getByLabel('What to do').click()
      await expect(page.getByRole('option').first()).toBeVisible()
    }],
    [`/jobs/${job}`, 'a question', press('Delete')],
    [`/jobs/${job}`, 'a refusal in a dialog', async (page) => {
      await page.route('**/staff/jobs/*/priority', (route) => route.fulfill({ status: 409, json: { title: 'No', detail: 'Not now', request_id: 'r-1' } }))
      await press('Priority')(page)
      await dialog(page).getByRole('button', { name: 'Priority' }).click()
      await expect(dialog(page).getByRole('alert')).toBeVisible()
    }],
    [`/jobs/${job}`, 'a notice', notice],
    [`/jobs/${job}`, 'a notice, and a menu beside it', async (page) => {
      await notice(page)
      await press(/^Menu of/)(page)
      await expect(page.getByRole('menu').first()).toBeVisible()
    }],
    ['/queues', 'limits', press(/^Limits of/)],
    ['/queues', 'a pause', press(/^Pause deliveries/)],
    ['/schedules/weekly-digest', 'a typed word', press('Remove')],
    [`/runs/${running}`, 'the end of a run', press('Cancel run')],
    [`/deliveries/${delivery}`, 'a replay', press('Replay')],
    ['/projects', 'a new project', press('New project')],
    ['/projects/demo', 'a new member', press('Add a member')],
    ['/projects/demo', 'a choice in a table', (page) => page.getByRole('combobox', { name: /^Role of/ }).first().click()],
    ['/people', 'what can be done about somebody', press(/^What to do about lea/)],
    ['/people', 'a question about somebody', async (page) => {
      await press(/^What to do about lea/)(page)
      await page.getByRole('menuitem', { name: 'Keep out' }).click()
    }],
    ['/account', 'a new token', press('New token')],
    ['/audit', 'a change whole', (page) => page.getByRole('row').nth(1).getByRole('button').click()],
    ['/', 'the chart as a table', (page) => page.getByRole('button', { name: /as a table$/ }).first().click()],
    ['/jobs?state=dead&kind=none.such', 'an empty list', (page) => expect(page.getByText('No jobs here')).toBeVisible()],
    ['/nowhere', 'a place that is none', (page) => expect(page.getByText('This page does not exist')).toBeVisible()],
    ['/jobs/999999999', 'a job that is none', (page) => expect(page.getByRole('alert').filter({ hasText: 'no such thing' })).toBeVisible()],
    ['/jobs', 'a network that is away', async (page) => {
      await page.context().setOffline(true)
      await expect(page.getByText('You are offline')).toBeVisible()
    }],
  ]
}

for (const theme of ['light', 'dark'] as const) {
  test(`what opens above a screen is sound for everybody, ${theme}`, async ({ as, page }) => {
    test.setTimeout(300_000)
    const job = await product.enqueue(`overlay ${theme}`, '--delay', '86400')
    // One of those that go on for minutes.
    const issue = theme === 'light' ? 7 : 17
    await product.label('acme/legacy-import', issue, 'run:dev')
    const { id: running } = await product.run((run) => run.repository === 'acme/legacy-import' && run.issue === issue && run.status === 'running')
    const delivery = await product.tell('push', { ref: 'refs/heads/main' })
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
    await as('olga', '/jobs')
    mkdirSync(SHOTS, { recursive: true })
    const wrong: string[] = []
    let at = ''
    for (const [path, what, open] of overlays(job, running, delivery)) {
      if (path === at) {
        // What was open goes, a menu within a dialog first.
        await page.keyboard.press('Escape')
        await page.keyboard.press('Escape')
        await expect(page.getByRole('dialog').or(page.getByRole('menu')).or(page.getByRole('listbox'))).toHaveCount(0)
      } else {
        await page.goto(path)
        await settled(page)
        at = path
      }
      await open(page)
      // What slides in has arrived.
      await page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {}))))
      for (const violation of await violations(page)) wrong.push(`${what}: ${violation}`)
      await page.screenshot({ path: `${SHOTS}/over-${what.replaceAll(/\W+/g, '-')}.${theme}.png` })
      await page.context().setOffline(false)
      await page.unrouteAll()
    }
    expect(wrong).toEqual([])
  })
}

test('the sign-in, its return and a narrow screen are sound for everybody', async ({ as, page }) => {
  await page.emulateMedia({ reducedMotion: 'reduce' })
  await page.goto('/')
  await expect(page.getByRole('link', { name: 'Sign in' })).toBeVisible()
  expect(await violations(page)).toEqual([])
  await as('olga', '/jobs')
  await page.setViewportSize({ width: 390, height: 800 })
  await page.getByRole('button', { name: 'Navigation' }).click()
  await expect(dialog(page).getByRole('link', { name: 'Runs' })).toBeVisible()
  expect(await violations(page)).toEqual([])
  await dialog(page).getByRole('link', { name: 'Runs' }).click()
  await expect(page).toHaveURL(/\/runs$/)
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  expect(await violations(page)).toEqual([])
  await page.setViewportSize({ width: 1360, height: 850 })
  // The cookie is gone: the next renewal finds nobody signed in.
  await page.context().clearCookies()
  await page.route('**/api/v1/staff/**', (route) => route.fulfill({ status: 401, json: { code: 'signed_out' } }))
  await page.getByRole('navigation').getByRole('link', { name: 'Schedules' }).click()
  await expect(page.getByRole('dialog', { name: 'Your session has ended' })).toBeVisible()
  expect(await violations(page)).toEqual([])
})

