import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const jobs = defineFeature({
  name: 'jobs',
  routes: [
    {
      path: '/jobs',
      name: 'jobs',
      component: () => import('./JobList.vue'),
      meta: { right: 'project_read', title: 'jobs.title' },
    },
    {
      path: '/jobs/:id(\\d+)',
      name: 'job',
      props: ({ params }) => ({ id: Number(params.id) }),
      component: () => import('./JobDetail.vue'),
      meta: { right: 'project_read', title: 'jobs.one' },
    },
  ],
  navigation: [{ to: '/jobs', icon: 'i-lucide-layers', group: 'engine', letter: 'j', right: 'project_read' }],
  palette: [
    {
      id: 'dead',
      text: 'palette.dead',
      icon: 'i-lucide-skull',
      right: 'project_read',
      act: (router) => router.push({ path: '/jobs', query: { state: 'dead' } }),
    },
  ],
  texts: { en, ru },
})
