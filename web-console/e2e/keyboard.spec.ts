import { expect, test } from './console'
import { product } from './product'

test('palette, help and places by keys alone; the focus comes back', async ({ as }) => {
  const page = await as('olga', '/')
  await page.keyboard.press('Control+k')
  const palette = page.getByRole('dialog')
  await expect(palette).toBeVisible()
  await page.keyboard.type('dead')
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/\/jobs\?state=dead/)
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toHaveCount(0)
  await page.keyboard.press('g')
  await page.keyboard.press('j')
  await expect(page).toHaveURL(/\/jobs$/)
})

test('a job is opened, asked about and left alone without a mouse', async ({ as }) => {
  const { items } = await product.api<{ items: { id: number }[] }>('jobs?state=dead&limit=1')
  const page = await as('olga', `/jobs/${items[0]?.id}`)
  await expect(page.getByRole('button', { name: 'Retry' })).toBeVisible()
  await page.locator('#main').focus()
  for (let presses = 0; presses < 30; presses++) {
    await page.keyboard.press('Tab')
    if (await page.getByRole('button', { name: 'Retry' }).evaluate((button) => button === document.activeElement)) break
  }
  await expect(page.getByRole('button', { name: 'Retry' })).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('dialog')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toHaveCount(0)
  await expect(page.getByRole('button', { name: 'Retry' })).toBeFocused()
})
