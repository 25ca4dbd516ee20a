import { expect, it } from 'vitest'
import { nextTick, ref } from 'vue'
import { Problem } from './problem'
import { ifMatch, useSeen } from './seen'

it('keeps what was seen until somebody is told that it is different', async () => {
  const version = ref('1')
  const error = ref<unknown>(null)
  const { seen, isChanged, look } = useSeen(() => version.value, error)
  look()
  version.value = '2'
  await nextTick()
  expect(seen.value).toBe('1')
  error.value = new Problem(412, 'changed_meanwhile', '', '', null)
  await nextTick()
  expect([isChanged.value, seen.value]).toEqual([true, '2'])
  version.value = '3'
  await nextTick()
  expect(seen.value).toBe('3')
  error.value = null
  version.value = '4'
  await nextTick()
  expect([isChanged.value, seen.value]).toEqual([false, '3'])
  expect(ifMatch(seen.value)).toEqual({ 'If-Match': '"3"' })
})
